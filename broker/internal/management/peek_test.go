package management_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// shown are messages as the API shows them.
type shown struct {
	Payload     string
	Position    int
	Left        int `json:"message_count"`
	Redelivered bool
}

func (a *api) peek(queue string, offset, count int) (all []shown) {
	a.t.Helper()
	v := a.want(200, post, "/api/queues/%2F/"+queue+"/get", fmt.Sprintf(`{"count":%d,"offset":%d,"ackmode":"peek","encoding":"auto"}`, count, offset))
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return all
}

// TestPeekChangesNothing looks into queues of all kinds from all nodes, some of whose
// messages are on disk only and some of which were returned, then takes the messages: they
// come as they were shown, and as if nobody had looked.
func TestPeekChangesNothing(t *testing.T) {
	const messages, returned = 700, 3
	c := brokertest.StartCluster(t, 3, func(c *broker.Config) { c.MemtableBytes = 64 << 10 })
	_, ch := brokertest.Dial(t, c.Nodes[0].URL())
	for name, args := range map[string]amqp.Table{
		"plain": nil, "quorum": {"x-queue-type": "quorum"}, "ranked": {"x-max-priority": 9},
	} {
		if _, err := ch.QueueDeclare(name, true, false, false, false, args); err != nil {
			t.Fatal(err)
		}
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		var last *amqp.DeferredConfirmation
		for i := range messages {
			var err error
			last, err = ch.PublishWithDeferredConfirmWithContext(t.Context(), "", name, false, false, amqp.Publishing{
				DeliveryMode: amqp.Persistent, Priority: uint8(i % 7), Body: []byte(fmt.Sprintf("%04d", i) + strings.Repeat("x", 500)),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if ok, err := last.WaitContext(t.Context()); err != nil || !ok {
			t.Fatal(ok, err)
		}
		var held []amqp.Delivery
		for range returned {
			d, ok, err := ch.Get(name, false)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			held = append(held, d)
		}
		if err := held[1].Nack(false, true); err != nil { // one comes back, two are held
			t.Fatal(err)
		}
		if _, err := ch.QueueDeclarePassive(name, true, false, false, false, args); err != nil { // behind that
			t.Fatal(err)
		}
		var all []shown
		for from := 0; ; {
			part := newAPI(t, c.Nodes[from%3]).peek(name, from, 300)
			all = append(all, part...)
			if from += len(part); len(part) == 0 {
				break
			}
		}
		if len(all) != messages-returned+1 {
			t.Errorf("%s: %d messages were shown", name, len(all))
		}
		for i, s := range all {
			d, ok, err := ch.Get(name, true)
			if err != nil || !ok {
				t.Fatal(name, i, ok, err)
			}
			if got := string(d.Body); got != s.Payload || d.Redelivered != s.Redelivered || d.Redelivered != (got == string(held[1].Body)) {
				t.Fatalf("%s: message %d is %.4s (redelivered: %t), shown was %.4s (%t)", name, i, got, d.Redelivered, s.Payload, s.Redelivered)
			}
			if s.Position != i+1 || s.Left > messages {
				t.Fatalf("%s: %+v", name, s)
			}
		}
		if left := newAPI(t, c.Nodes[1]).peek(name, 0, 10); len(left) != 0 {
			t.Errorf("%s: %d messages are shown after the last", name, len(left))
		}
		_ = held[0].Ack(false)
		_ = held[2].Ack(false)
	}
	a := newAPI(t, c.Nodes[0])
	a.want(400, post, "/api/queues/%2F/plain/get", `{"count":501,"ackmode":"peek","encoding":"auto"}`, "count is 1 to 500")
	a.want(400, post, "/api/queues/%2F/plain/get", `{"count":1,"offset":-1,"ackmode":"peek","encoding":"auto"}`, "offset")
	a.want(201, put, "/api/users/reader", `{"password":"p","tags":"management"}`)
	a.want(201, put, "/api/permissions/%2F/reader", `{"configure":"","write":".*","read":"^other$"}`)
	a.user, a.password = "reader", "p"
	a.want(401, post, "/api/queues/%2F/plain/get", `{"count":1,"ackmode":"peek","encoding":"auto"}`, "read access to queue 'plain'")
}
