package rabbit

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// The golden values are the properties and field types that Spring's header mapper makes of the same headers.
func TestPublishedProperties(t *testing.T) {
	at := time.Unix(1700000000, 0)
	m := stream.Raw{
		ID: "id", Timestamp: at, Type: "T", CorrelationID: "c", ContentType: "application/json", ContentEncoding: "gzip", ReplyTo: "r",
		AppID: "a", UserID: "u", Priority: 9, TTL: 1500 * time.Millisecond, Delay: 2 * time.Second, Payload: []byte("{}"),
		Headers: stream.Headers{
			"s": "x", "i": int32(1), "l": int64(2), "n": 3, "b": true, "d": 1.5, "t": at, "x": []byte{1}, "a": []any{"y", int32(4)},
			"f": stream.Headers{"k": "v"}, "u": uuid.Nil, "dur": time.Second, "nil": nil,
		},
	}
	got, err := publishing(m, false)
	if err != nil {
		t.Fatal(err)
	}
	want := amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "gzip", DeliveryMode: 2, Priority: 9, CorrelationId: "c", ReplyTo: "r",
		Expiration: "1500", MessageId: "id", Timestamp: at, Type: "T", UserId: "u", AppId: "a", Body: []byte("{}"),
		Headers: amqp.Table{
			"s": "x", "i": int32(1), "l": int64(2), "n": int64(3), "b": true, "d": 1.5, "t": at, "x": []byte{1}, "a": []any{"y", int32(4)},
			"f": amqp.Table{"k": "v"}, "u": uuid.Nil.String(), "dur": int64(1000), "nil": nil, "x-delay": int64(2000),
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := got.Headers.Validate(); err != nil {
		t.Error(err)
	}
	if got, _ := publishing(m, true); got.DeliveryMode != amqp.Transient {
		t.Error("not transient")
	}
	for name, bad := range map[string]stream.Raw{
		"a long routing key": {RoutingKey: string(make([]byte, 256))},
		"a header":           {Headers: stream.Headers{"c": make(chan int)}},
	} {
		if _, err := publishing(bad, false); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestReceivedProperties(t *testing.T) {
	at := time.Unix(1700000000, 0)
	d := amqp.Delivery{
		ContentType: "application/octet-stream", ContentEncoding: "gzip", Priority: 9, CorrelationId: "c", ReplyTo: "r", Expiration: "1500",
		MessageId: "id", Timestamp: at, Type: "T", UserId: "u", AppId: "a", Body: []byte("{}"), Exchange: "", RoutingKey: "d.g", DeliveryTag: 7,
		Redelivered: true, ConsumerTag: "tag#1", DeliveryMode: 1, Headers: amqp.Table{
			"x-delay": int32(-2000), "originalContentType": "text/plain", "x-delivery-count": int64(3), "small": int16(5), "f": float32(1.5),
			"t": amqp.Table{"k": "v"}, "__TypeId__": "com.example.Order",
			stream.HeaderRetryCount: int64(2), stream.HeaderFirstFailure: int64(1), stream.HeaderOriginalExchange: "orders", stream.HeaderOriginalRoutingKey: "k",
		},
	}
	got := received(&d, "d.g", stream.Binding{})
	if got.ContentType != "text/plain" || got.ContentEncoding != "gzip" || got.Priority != 9 || got.ReplyTo != "r" || got.UserID != "u" || got.AppID != "a" ||
		got.TTL != 1500*time.Millisecond || got.Delay != 2*time.Second || !got.Timestamp.Equal(at) {
		t.Errorf("got %+v", got)
	}
	want := stream.Delivery{
		Exchange: "orders", RoutingKey: "k", Queue: "d.g", ConsumerTag: "tag#1", Tag: 7, Transient: true, Redelivered: true, Count: 3, Retries: 2,
	}
	if got.Delivery != want {
		t.Errorf("delivery %+v", got.Delivery)
	}
	if h := got.Headers; h["small"] != int32(5) || h["f"] != 1.5 || h["x-delay"] != nil || h.String("__TypeId__") != "com.example.Order" {
		t.Errorf("headers %v", h)
	}
}
