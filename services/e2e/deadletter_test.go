package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/events"
)

// TestBadMessages: what cannot be used goes to the dead-letter queue with its reason, and the service goes on.
func TestBadMessages(t *testing.T) {
	r := start(t)
	if r.broker == system.Warren { // the other is not told
		eventually(t, time.Minute, func() error { return r.seesClients(t.Context()) })
	}
	conn, err := amqp.Dial(r.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	destination := events.OrderPlaced{}.Destination()
	bad := []struct{ id, body, reason string }{
		{"e2e-malformed", `{"order_id": `, "cannot be decoded"},
		{"e2e-other-type", `{"order_id": 7}`, "cannot be decoded"},
		{"e2e-empty", `{}`, "order_id is missing"},
		{"", `{"order_id":"o","currency":"EUR","items":[{"sku":"SKU-001","quantity":1}]}`, "no id"},
	}
	for _, m := range bad {
		err := ch.PublishWithContext(t.Context(), destination, destination, true, false, amqp.Publishing{
			MessageId: m.id, ContentType: stream.ContentTypeJSON, DeliveryMode: amqp.Persistent, Body: []byte(m.body),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, group := range []string{events.GroupPayment, events.GroupProduct} {
		var reasons []string
		eventually(t, time.Minute, func() error {
			d, ok, err := ch.Get(destination+"."+group+".dlq", true)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				i := slices.IndexFunc(bad, func(m struct{ id, body, reason string }) bool { return m.id == d.MessageId && m.body == string(d.Body) })
				reason := fmt.Sprint(d.Headers[stream.HeaderExceptionMessage])
				if i < 0 || !strings.Contains(reason, bad[i].reason) || d.Headers[stream.HeaderOriginalExchange] != destination {
					t.Errorf("dead letter %q %s: %v", d.MessageId, d.Body, d.Headers)
				}
				reasons = append(reasons, reason)
			}
			if len(reasons) != len(bad) {
				return fmt.Errorf("%s: %d of %d bad messages are in the dead-letter queue", group, len(reasons), len(bad))
			}
			return nil
		})
		t.Logf("%s: %q", group, reasons)
	}
	var o order
	if _, err := call(t.Context(), http.MethodPost, r.URL(system.Order)+"/orders", request{"c-1", "EUR", []item{{"SKU-001", 2}}}, &o); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		if _, err := call(t.Context(), http.MethodGet, r.URL(system.Order)+"/orders/"+o.ID, nil, &o); err != nil || o.Status != "delivered" {
			return fmt.Errorf("a good order is %s: %w", o.Status, err)
		}
		return nil
	})
}
