package rabbit

import (
	"reflect"
	"regexp"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// The golden values are what Spring Cloud Stream's provisioner declares for the same properties.
func TestConsumerTopology(t *testing.T) {
	empty := ""
	for _, c := range []struct {
		name  string
		group string
		p     stream.ConsumerProperties
		want  topology
	}{
		{"group", "g", stream.ConsumerProperties{}, topology{
			exchanges: []exchange{{name: "d", kind: "topic"}},
			queues:    []queue{{name: "d.g", durable: true, args: amqp.Table{}}},
			bindings:  []binding{{queue: "d.g", key: "#", exchange: "d"}},
			consume:   "d.g",
		}},
		{"not durable", "g", stream.ConsumerProperties{DurableSubscription: stream.Off}, topology{
			exchanges: []exchange{{name: "d", kind: "topic"}},
			queues:    []queue{{name: "d.g", autoDelete: true, args: amqp.Table{}}},
			bindings:  []binding{{queue: "d.g", key: "#", exchange: "d"}},
			consume:   "d.g",
		}},
		{"dead letters, prefix, quorum, limits", "g", stream.ConsumerProperties{AutoBindDLQ: true, Queue: stream.QueueProperties{
			Prefix: "p.", TTL: time.Second, MaxLength: 5, Quorum: stream.Quorum{Enabled: true, DeliveryLimit: 4, InitialGroupSize: 3},
			SingleActiveConsumer: true, OverflowBehavior: "reject-publish", BindingRoutingKeys: []string{"a.*", "b.#"},
		}}, topology{
			exchanges: []exchange{{name: "p.d", kind: "topic"}, {name: "p.DLX", kind: "direct"}},
			queues: []queue{{name: "p.d.g.dlq", durable: true, deadLetter: true, args: amqp.Table{}}, {name: "p.d.g", durable: true, args: amqp.Table{
				"x-dead-letter-exchange": "p.DLX", "x-dead-letter-routing-key": "p.d.g", "x-message-ttl": int32(1000), "x-max-length": int32(5),
				"x-queue-type": "quorum", "x-delivery-limit": int32(4), "x-quorum-initial-group-size": int32(3),
				"x-single-active-consumer": true, "x-overflow": "reject-publish",
			}}},
			bindings: []binding{
				{queue: "p.d.g.dlq", key: "p.d.g", exchange: "p.DLX"},
				{queue: "p.d.g", key: "a.*", exchange: "p.d"}, {queue: "p.d.g", key: "b.#", exchange: "p.d"},
			},
			consume: "p.d.g", deadLetter: &address{"p.DLX", "p.d.g"},
		}},
		{"partition", "g", stream.ConsumerProperties{Partitioned: true, InstanceIndex: 1, AutoBindDLQ: true, Queue: stream.QueueProperties{Prefix: "p."}}, topology{
			exchanges: []exchange{{name: "p.d", kind: "topic"}, {name: "p.DLX", kind: "direct"}},
			queues: []queue{{name: "p.d.g.dlq", durable: true, deadLetter: true, args: amqp.Table{}}, {name: "p.d.g-1", durable: true, args: amqp.Table{
				"x-dead-letter-exchange": "p.DLX", "x-dead-letter-routing-key": "p.d.g-1",
			}}},
			bindings: []binding{
				{queue: "p.d.g.dlq", key: "p.d.g-1", exchange: "p.DLX"}, {queue: "p.d.g.dlq", key: "p.d.g", exchange: "p.DLX"},
				{queue: "p.d.g-1", key: "d-1", exchange: "p.d"},
			},
			consume: "p.d.g-1", deadLetter: &address{"p.DLX", "p.d.g-1"},
		}},
		{"retry ladder", "g", stream.ConsumerProperties{AutoBindDLQ: true, Queue: stream.QueueProperties{
			DLQ: stream.DeadLetterQueueProperties{TTL: 5 * time.Second, DeadLetterExchange: &empty},
		}}, topology{
			exchanges: []exchange{{name: "d", kind: "topic"}, {name: "DLX", kind: "direct"}},
			queues: []queue{
				{name: "d.g.dlq", durable: true, deadLetter: true, args: amqp.Table{"x-message-ttl": int32(5000), "x-dead-letter-exchange": ""}},
				{name: "d.g", durable: true, args: amqp.Table{"x-dead-letter-exchange": "DLX", "x-dead-letter-routing-key": "d.g"}},
			},
			bindings: []binding{{queue: "d.g.dlq", key: "d.g", exchange: "DLX"}, {queue: "d.g", key: "#", exchange: "d"}},
			consume:  "d.g", deadLetter: &address{"DLX", "d.g"},
		}},
		{"fanout, queue by group only", "g", stream.ConsumerProperties{Queue: stream.QueueProperties{ExchangeType: "fanout", QueueNameGroupOnly: true}}, topology{
			exchanges: []exchange{{name: "d", kind: "fanout"}},
			queues:    []queue{{name: "g", durable: true, args: amqp.Table{}}},
			bindings:  []binding{{queue: "g", key: "", exchange: "d"}},
			consume:   "g",
		}},
		{"nothing declared", "g", stream.ConsumerProperties{Queue: stream.QueueProperties{DeclareExchange: stream.Off, BindQueue: stream.Off}}, topology{consume: "d.g"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := consumerTopology(stream.Binding{Destination: "d", Group: c.group, Consumer: c.p}, c.group)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestAnonymousTopology(t *testing.T) {
	group := anonymousGroup()
	if !regexp.MustCompile(`^anonymous\.[A-Za-z0-9_-]{22}$`).MatchString(group) {
		t.Errorf("group %q", group)
	}
	got := consumerTopology(stream.Binding{Destination: "d", Consumer: stream.ConsumerProperties{
		AutoBindDLQ: true, Queue: stream.QueueProperties{Quorum: stream.Quorum{Enabled: true}},
	}}, group)
	want := []queue{{name: "d." + group, autoDelete: true, exclusive: true, args: amqp.Table{}}}
	if !reflect.DeepEqual(got.queues, want) || got.deadLetter != nil {
		t.Errorf("got %+v", got)
	}
}

func TestProducerTopology(t *testing.T) {
	got := producerTopology(stream.Binding{Destination: "d", Producer: stream.ProducerProperties{
		RequiredGroups: []string{"g"}, PartitionCount: 2, AutoBindDLQ: true, Queue: stream.QueueProperties{Prefix: "p."},
	}})
	args := func(n string) amqp.Table {
		return amqp.Table{"x-dead-letter-exchange": "p.DLX", "x-dead-letter-routing-key": "p.d.g-" + n}
	}
	want := topology{
		exchanges: []exchange{{name: "p.d", kind: "topic"}, {name: "p.DLX", kind: "direct"}},
		queues: []queue{
			{name: "p.d.g.dlq", durable: true, deadLetter: true, args: amqp.Table{}},
			{name: "p.d.g-0", durable: true, args: args("0")}, {name: "p.d.g-1", durable: true, args: args("1")},
		},
		bindings: []binding{
			{queue: "p.d.g.dlq", key: "p.d.g-0", exchange: "p.DLX"}, {queue: "p.d.g.dlq", key: "p.d.g-1", exchange: "p.DLX"},
			{queue: "p.d.g-0", key: "d-0", exchange: "p.d"}, {queue: "p.d.g-1", key: "d-1", exchange: "p.d"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := producerTopology(stream.Binding{Destination: "d"}); !reflect.DeepEqual(got, topology{exchanges: []exchange{{name: "d", kind: "topic"}}}) {
		t.Errorf("plain: %+v", got)
	}
}
