package cloudevents_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/cloudevents"
)

var event = cloudevents.Attributes{
	ID: "1", Source: "/shop", Type: "placed", Subject: "o-1", DataSchema: "urn:x", Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
	Extensions: map[string]string{"region": "eu"},
}

func TestThereAndBack(t *testing.T) {
	m := stream.Message[int]{Headers: stream.Headers{"mine": 1}}
	if err := cloudevents.Set(&m, event); err != nil {
		t.Fatal(err)
	}
	if m.Headers["cloudEvents:source"] != "/shop" || m.Headers["cloudEvents:specversion"] != "1.0" || m.Type != "placed" || m.ID != "1" {
		t.Errorf("%+v", m)
	}
	if got, err := cloudevents.Of(m); err != nil || !reflect.DeepEqual(got, event) {
		t.Errorf("%+v %v", got, err)
	}
}

func TestNamesOfOthers(t *testing.T) {
	for _, prefix := range []string{"ce-", "ce_", "cloudEvents_", "cloudEvents:"} {
		m := stream.Message[int]{Headers: stream.Headers{prefix + "id": "1", prefix + "source": []byte("/s"), prefix + "type": "t", prefix + "specversion": "1.0"}}
		if a, err := cloudevents.Of(m); err != nil || a.ID != "1" || a.Source != "/s" || a.Type != "t" {
			t.Errorf("%s: %+v %v", prefix, a, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	if _, err := cloudevents.Of(stream.Message[int]{}); !errors.Is(err, cloudevents.ErrNoEvent) {
		t.Error(err)
	}
	for _, h := range []stream.Headers{{"ce-id": "1"}, {"ce-specversion": "0.3"}, {"ce-time": "noon"}} {
		if _, err := cloudevents.Of(stream.Message[int]{Headers: h}); err == nil {
			t.Errorf("%v is an event", h)
		}
	}
	m := stream.NewMessage(1)
	for _, a := range []cloudevents.Attributes{{Type: "t"}, {Source: "s"}, {Source: "s", Type: "t", Extensions: map[string]string{"Big": "x"}}} {
		if err := cloudevents.Set(&m, a); err == nil {
			t.Errorf("%+v is an event", a)
		}
	}
	for _, payload := range []string{`{`, `{"id":"1"}`, `{"id":"1","source":"s","type":"t","specversion":"2.0"}`, `{"data_base64": 7}`} {
		if _, err := cloudevents.Unwrap(stream.Raw{ContentType: cloudevents.ContentTypeStructured, Payload: []byte(payload)}); !errors.Is(err, stream.ErrUndecodable) {
			t.Errorf("%s: %v", payload, err)
		}
	}
}

func ExampleUnwrap() {
	m, err := cloudevents.Unwrap(stream.Raw{
		ContentType: "application/cloudevents+json; charset=utf-8",
		Payload:     []byte(`{"specversion":"1.0","id":"7","source":"/shop","type":"placed","region":"eu","data":{"total":12}}`),
	})
	fmt.Println(err, m.ContentType, string(m.Payload), m.Headers["cloudEvents:region"])
	// Output: <nil> application/json {"total":12} eu
}

func ExampleSet() {
	m := stream.NewMessage("data")
	err := cloudevents.Set(&m, cloudevents.Attributes{Source: "/shop", Type: "placed"})
	fmt.Println(err, m.Headers["cloudEvents:type"], m.Headers["cloudEvents:id"] == m.ID)
	// Output: <nil> placed true
}

func ExampleOf() {
	m := stream.NewMessage("data")
	m.Headers = stream.Headers{"ce-id": "7", "ce-source": "/shop", "ce-type": "placed", "ce-specversion": "1.0", "ce-region": "eu"}
	a, err := cloudevents.Of(m)
	fmt.Println(a.ID, a.Source, a.Type, a.Extensions["region"], err)
	_, err = cloudevents.Of(stream.NewMessage("no event"))
	fmt.Println(errors.Is(err, cloudevents.ErrNoEvent))
	// Output:
	// 7 /shop placed eu <nil>
	// true
}
