package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/message"
)

// arguments are an AMQP table in JSON: a whole number is a long, any other number a
// double. An empty list stands for an empty table, as RabbitMQ's tools send it.
type arguments message.Table

// UnmarshalJSON decodes the table.
func (a *arguments) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); bytes.Equal(b, []byte("[]")) || bytes.Equal(b, []byte("null")) || bytes.Equal(b, []byte(`""`)) {
		*a = nil
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return fmt.Errorf("arguments are not an object: %w", err)
	}
	t, err := toTable(m)
	*a = arguments(t)
	return err
}

func toTable(m map[string]any) (message.Table, error) {
	var t message.Table
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v, err := toValue(m[key])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		t = append(t, message.Field{Key: key, Value: v})
	}
	if err := t.Check(); err != nil {
		return nil, err
	}
	return t, nil
}

func toValue(v any) (any, error) {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n, nil
		}
		return x.Float64()
	case map[string]any:
		return toTable(x)
	case []any:
		list := make([]any, len(x))
		for i := range x {
			var err error
			if list[i], err = toValue(x[i]); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return v, nil // text, truth, nothing
}

// properties are a message's, in JSON; an empty list stands for none.
type properties map[string]any

// UnmarshalJSON decodes them.
func (p *properties) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); bytes.Equal(b, []byte("[]")) || bytes.Equal(b, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode((*map[string]any)(p))
}

func tableJSON(t message.Table) map[string]any {
	m := make(map[string]any, len(t))
	for _, f := range t {
		m[f.Key] = valueJSON(f.Value)
	}
	return m
}

func valueJSON(v any) any {
	switch x := v.(type) {
	case message.Table:
		return tableJSON(x)
	case []any:
		list := make([]any, len(x))
		for i := range x {
			list[i] = valueJSON(x[i])
		}
		return list
	case []byte:
		return string(x)
	}
	return v
}

// propertyFlags are the properties of a message by their names in JSON.
var propertyFlags = map[string]message.Flag{
	"content_type": message.HasContentType, "content_encoding": message.HasContentEncoding, "correlation_id": message.HasCorrelationID,
	"reply_to": message.HasReplyTo, "expiration": message.HasExpiration, "message_id": message.HasMessageID, "type": message.HasType,
	"user_id": message.HasUserID, "app_id": message.HasAppID, "cluster_id": message.HasClusterID,
}

func propertyText(p *message.Properties, f message.Flag) *string {
	return map[message.Flag]*string{
		message.HasContentType: &p.ContentType, message.HasContentEncoding: &p.ContentEncoding, message.HasCorrelationID: &p.CorrelationID,
		message.HasReplyTo: &p.ReplyTo, message.HasExpiration: &p.Expiration, message.HasMessageID: &p.MessageID, message.HasType: &p.Type,
		message.HasUserID: &p.UserID, message.HasAppID: &p.AppID, message.HasClusterID: &p.ClusterID,
	}[f]
}

// propertiesJSON returns a message's properties that are present.
func propertiesJSON(p *message.Properties) map[string]any {
	m := map[string]any{}
	for name, f := range propertyFlags {
		if p.Has(f) {
			m[name] = *propertyText(p, f)
		}
	}
	if p.Has(message.HasHeaders) {
		m["headers"] = tableJSON(p.Headers)
	}
	if p.Has(message.HasDeliveryMode) {
		m["delivery_mode"] = p.DeliveryMode
	}
	if p.Has(message.HasPriority) {
		m["priority"] = p.Priority
	}
	if p.Has(message.HasTimestamp) {
		m["timestamp"] = int64(p.Timestamp)
	}
	return m
}

// toProperties reads the properties of a message to be published.
func toProperties(m map[string]any) (p message.Properties, err error) {
	for name, v := range m {
		if f, isText := propertyFlags[name]; isText {
			s, ok := v.(string)
			if n, number := v.(json.Number); number {
				s, ok = n.String(), true
			}
			if !ok || len(s) > 255 {
				return p, fmt.Errorf("%w: property %s is no text of at most 255 bytes", errBadRequest, name)
			}
			*propertyText(&p, f) = s
			p.Flags |= f
			continue
		}
		n, _ := v.(json.Number)
		number, err := n.Int64()
		switch name {
		case "headers":
			h, ok := v.(map[string]any)
			if list, isList := v.([]any); isList && len(list) == 0 {
				h, ok = nil, true
			}
			if !ok {
				return p, fmt.Errorf("%w: property headers is no object", errBadRequest)
			}
			if p.Headers, err = toTable(h); err != nil {
				return p, fmt.Errorf("%w: headers: %w", errBadRequest, err)
			}
			p.Flags |= message.HasHeaders
			continue
		case "delivery_mode":
			p.DeliveryMode = uint8(number)
			p.Flags |= message.HasDeliveryMode
		case "priority":
			p.Priority = uint8(number)
			p.Flags |= message.HasPriority
		case "timestamp":
			p.Timestamp = message.Timestamp(number)
			p.Flags |= message.HasTimestamp
		default:
			known := append(slices.Sorted(maps.Keys(propertyFlags)), "headers", "delivery_mode", "priority", "timestamp")
			return p, fmt.Errorf("%w: there is no property %s; there are %s", errBadRequest, name, strings.Join(known, ", "))
		}
		if err != nil || number < 0 || number > 255 && name != "timestamp" {
			return p, fmt.Errorf("%w: property %s is %v, not a number that it can hold", errBadRequest, name, v)
		}
	}
	return p, nil
}
