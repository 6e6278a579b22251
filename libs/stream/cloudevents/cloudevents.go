// Package cloudevents reads and writes CloudEvents 1.0 attributes of messages, under the names that Spring Cloud Function and
// the AMQP binding use: cloudEvents:id, cloudEvents_id, ce-id and ce_id are read, the first of them is written.
package cloudevents

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// SpecVersion is the version that is written.
const SpecVersion = "1.0"

// ContentTypeStructured is that of a message whose payload is the whole event.
const ContentTypeStructured = "application/cloudevents+json"

// Prefix is in front of every attribute's name as it is written.
const Prefix = "cloudEvents:"

var prefixes = []string{Prefix, "cloudEvents_", "ce-", "ce_"}

// Attributes of an event. ID, Source and Type are required.
type Attributes struct {
	ID         string
	Source     string // a URI reference
	Type       string
	Subject    string
	DataSchema string
	Time       time.Time
	Extensions map[string]string // names are lower-case letters and digits
}

// ErrNoEvent says that a message carries no CloudEvent.
var ErrNoEvent = errors.New("cloudevents: message is no CloudEvent")

// Set writes a's attributes into m's headers, and its id and type into m, in binary mode: the payload stays the data alone.
// What a leaves empty is taken from m.
func Set[T any](m *stream.Message[T], a Attributes) error {
	a.ID, a.Type = or(a.ID, or(m.ID, stream.NewID())), or(a.Type, m.Type)
	if a.Time.IsZero() {
		a.Time = m.Timestamp
	}
	if a.Source == "" || a.Type == "" {
		return errors.New("cloudevents: an event needs a Source and a Type")
	}
	for name := range a.Extensions {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return fmt.Errorf("cloudevents: extension %q: a name has lower-case letters and digits only", name)
		}
	}
	m.ID, m.Type = a.ID, a.Type
	m.Headers = m.Headers.Clone()
	values := map[string]string{
		"specversion": SpecVersion, "id": a.ID, "source": a.Source, "type": a.Type, "subject": a.Subject, "dataschema": a.DataSchema,
	}
	if !a.Time.IsZero() {
		values["time"] = a.Time.UTC().Format(time.RFC3339Nano)
	}
	for name, v := range a.Extensions {
		values[name] = v
	}
	for name, v := range values {
		if v != "" {
			m.Headers[Prefix+name] = v
		}
	}
	return nil
}

// Of returns the attributes in m's headers; ErrNoEvent when there are none.
func Of[T any](m stream.Message[T]) (Attributes, error) {
	a := Attributes{Extensions: map[string]string{}}
	found := false
	for key := range m.Headers {
		for _, prefix := range prefixes {
			if name, ok := strings.CutPrefix(key, prefix); ok {
				found = true
				if err := a.set(strings.ToLower(name), m.Headers.String(key)); err != nil {
					return Attributes{}, err
				}
			}
		}
	}
	if !found {
		return Attributes{}, ErrNoEvent
	}
	return a, a.check()
}

// Unwrap turns a structured message, whose payload is an event in JSON, into a binary one: attributes in the headers, the
// payload the data. A message of another content type comes back as it is.
func Unwrap(m stream.Raw) (stream.Raw, error) {
	if base, _, _ := strings.Cut(m.ContentType, ";"); strings.TrimSpace(base) != ContentTypeStructured {
		return m, nil
	}
	var event map[string]json.RawMessage
	if err := json.Unmarshal(m.Payload, &event); err != nil {
		return m, fmt.Errorf("%w: %w", stream.ErrUndecodable, err)
	}
	a := Attributes{Extensions: map[string]string{}}
	var data []byte
	m.ContentType = stream.ContentTypeJSON
	for name, value := range event {
		var err error
		switch name {
		case "data":
			data = value
		case "data_base64":
			err = json.Unmarshal(value, &data)
		case "datacontenttype":
			err = json.Unmarshal(value, &m.ContentType)
		default:
			var text string
			if json.Unmarshal(value, &text) != nil {
				text = string(value) // a number or a boolean
			}
			err = a.set(name, text)
		}
		if err != nil {
			return m, fmt.Errorf("%w: %s: %w", stream.ErrUndecodable, name, err)
		}
	}
	if err := a.check(); err != nil {
		return m, fmt.Errorf("%w: %w", stream.ErrUndecodable, err)
	}
	m.Payload = data
	return m, Set(&m, a)
}

func (a *Attributes) set(name, value string) (err error) {
	switch name {
	case "id":
		a.ID = value
	case "source":
		a.Source = value
	case "type":
		a.Type = value
	case "subject":
		a.Subject = value
	case "dataschema":
		a.DataSchema = value
	case "time":
		if a.Time, err = time.Parse(time.RFC3339Nano, value); err != nil {
			return fmt.Errorf("cloudevents: time: %w", err)
		}
	case "specversion":
		if !strings.HasPrefix(value, "1.") {
			return fmt.Errorf("cloudevents: version %q, only 1.x is known", value)
		}
	default:
		a.Extensions[name] = value
	}
	return nil
}

func (a *Attributes) check() error {
	if a.ID == "" || a.Source == "" || a.Type == "" {
		return fmt.Errorf("cloudevents: id %q, source %q, type %q: none may be empty", a.ID, a.Source, a.Type)
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
