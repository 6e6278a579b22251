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
		want  Topology
	}{
		{"group", "g", stream.ConsumerProperties{}, Topology{
			Exchanges: []Exchange{{Name: "d", Kind: "topic", Durable: true}},
			Queues:    []Queue{{Name: "d.g", Durable: true, Args: amqp.Table{}}},
			Bindings:  []QueueBinding{{Queue: "d.g", Key: "#", Exchange: "d"}},
			consume:   "d.g",
		}},
		{"not durable", "g", stream.ConsumerProperties{DurableSubscription: stream.Off}, Topology{
			Exchanges: []Exchange{{Name: "d", Kind: "topic", Durable: true}},
			Queues:    []Queue{{Name: "d.g", AutoDelete: true, Args: amqp.Table{}}},
			Bindings:  []QueueBinding{{Queue: "d.g", Key: "#", Exchange: "d"}},
			consume:   "d.g",
		}},
		{"dead letters, prefix, quorum, limits", "g", stream.ConsumerProperties{AutoBindDLQ: true, Queue: stream.QueueProperties{
			Prefix: "p.", TTL: time.Second, MaxLength: 5, Quorum: stream.Quorum{Enabled: true, DeliveryLimit: 4, InitialGroupSize: 3},
			SingleActiveConsumer: true, OverflowBehavior: "reject-publish", BindingRoutingKeys: []string{"a.*", "b.#"},
		}}, Topology{
			Exchanges: []Exchange{{Name: "p.d", Kind: "topic", Durable: true}, {Name: "p.DLX", Kind: "direct", Durable: true}},
			Queues: []Queue{{Name: "p.d.g.dlq", Durable: true, spare: true, Args: amqp.Table{}}, {Name: "p.d.g", Durable: true, Args: amqp.Table{
				"x-dead-letter-exchange": "p.DLX", "x-dead-letter-routing-key": "p.d.g", "x-message-ttl": int32(1000), "x-max-length": int32(5),
				"x-queue-type": "quorum", "x-delivery-limit": int32(4), "x-quorum-initial-group-size": int32(3),
				"x-single-active-consumer": true, "x-overflow": "reject-publish",
			}}},
			Bindings: []QueueBinding{
				{Queue: "p.d.g.dlq", Key: "p.d.g", Exchange: "p.DLX"},
				{Queue: "p.d.g", Key: "a.*", Exchange: "p.d"}, {Queue: "p.d.g", Key: "b.#", Exchange: "p.d"},
			},
			consume: "p.d.g", deadLetter: &address{"p.DLX", "p.d.g"},
		}},
		{"partition", "g", stream.ConsumerProperties{Partitioned: true, InstanceIndex: 1, AutoBindDLQ: true, Queue: stream.QueueProperties{Prefix: "p."}}, Topology{
			Exchanges: []Exchange{{Name: "p.d", Kind: "topic", Durable: true}, {Name: "p.DLX", Kind: "direct", Durable: true}},
			Queues: []Queue{{Name: "p.d.g.dlq", Durable: true, spare: true, Args: amqp.Table{}}, {Name: "p.d.g-1", Durable: true, Args: amqp.Table{
				"x-dead-letter-exchange": "p.DLX", "x-dead-letter-routing-key": "p.d.g-1",
			}}},
			Bindings: []QueueBinding{
				{Queue: "p.d.g.dlq", Key: "p.d.g-1", Exchange: "p.DLX"}, {Queue: "p.d.g.dlq", Key: "p.d.g", Exchange: "p.DLX"},
				{Queue: "p.d.g-1", Key: "d-1", Exchange: "p.d"},
			},
			consume: "p.d.g-1", deadLetter: &address{"p.DLX", "p.d.g-1"},
		}},
		{"retry ladder", "g", stream.ConsumerProperties{AutoBindDLQ: true, Queue: stream.QueueProperties{
			DLQ: stream.DeadLetterQueueProperties{TTL: 5 * time.Second, DeadLetterExchange: &empty},
		}}, Topology{
			Exchanges: []Exchange{{Name: "d", Kind: "topic", Durable: true}, {Name: "DLX", Kind: "direct", Durable: true}},
			Queues: []Queue{
				{Name: "d.g.dlq", Durable: true, spare: true, Args: amqp.Table{"x-message-ttl": int32(5000), "x-dead-letter-exchange": ""}},
				{Name: "d.g", Durable: true, Args: amqp.Table{"x-dead-letter-exchange": "DLX", "x-dead-letter-routing-key": "d.g"}},
			},
			Bindings: []QueueBinding{{Queue: "d.g.dlq", Key: "d.g", Exchange: "DLX"}, {Queue: "d.g", Key: "#", Exchange: "d"}},
			consume:  "d.g", deadLetter: &address{"DLX", "d.g"},
		}},
		{"fanout, queue by group only", "g", stream.ConsumerProperties{Queue: stream.QueueProperties{ExchangeType: "fanout", QueueNameGroupOnly: true}}, Topology{
			Exchanges: []Exchange{{Name: "d", Kind: "fanout", Durable: true}},
			Queues:    []Queue{{Name: "g", Durable: true, Args: amqp.Table{}}},
			Bindings:  []QueueBinding{{Queue: "g", Key: "", Exchange: "d"}},
			consume:   "g",
		}},
		{"nothing declared", "g", stream.ConsumerProperties{Queue: stream.QueueProperties{DeclareExchange: stream.Off, BindQueue: stream.Off}}, Topology{consume: "d.g"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := *consumerTopology(stream.Binding{Destination: "d", Group: c.group, Consumer: c.p}, c.group)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestAnonymousTopology(t *testing.T) {
	group := anonymousGroup("anonymous.")
	if !regexp.MustCompile(`^anonymous\.[A-Za-z0-9_-]{22}$`).MatchString(group) {
		t.Errorf("group %q", group)
	}
	got := *consumerTopology(stream.Binding{Destination: "d", Consumer: stream.ConsumerProperties{
		AutoBindDLQ: true, Queue: stream.QueueProperties{Quorum: stream.Quorum{Enabled: true}},
	}}, group)
	want := []Queue{{Name: "d." + group, AutoDelete: true, Exclusive: true, Args: amqp.Table{
		"x-dead-letter-exchange": "DLX", "x-dead-letter-routing-key": "d." + group, // of no use, but Spring's
	}}}
	if !reflect.DeepEqual(got.Queues, want) || got.deadLetter != nil {
		t.Errorf("got %+v", got)
	}
}

func TestProducerTopology(t *testing.T) {
	got := *producerTopology(stream.Binding{Destination: "d", Producer: stream.ProducerProperties{
		RequiredGroups: []string{"g"}, PartitionCount: 2, AutoBindDLQ: true, Queue: stream.QueueProperties{Prefix: "p."},
	}})
	args := func(n string) amqp.Table {
		return amqp.Table{"x-dead-letter-exchange": "p.DLX", "x-dead-letter-routing-key": "p.d.g-" + n}
	}
	want := Topology{
		Exchanges: []Exchange{{Name: "p.d", Kind: "topic", Durable: true}, {Name: "p.DLX", Kind: "direct", Durable: true}},
		Queues: []Queue{
			{Name: "p.d.g.dlq", Durable: true, spare: true, Args: amqp.Table{}},
			{Name: "p.d.g-0", Durable: true, Args: args("0")}, {Name: "p.d.g-1", Durable: true, Args: args("1")},
		},
		Bindings: []QueueBinding{
			{Queue: "p.d.g.dlq", Key: "p.d.g-0", Exchange: "p.DLX"}, {Queue: "p.d.g.dlq", Key: "p.d.g-1", Exchange: "p.DLX"},
			{Queue: "p.d.g-0", Key: "d-0", Exchange: "p.d"}, {Queue: "p.d.g-1", Key: "d-1", Exchange: "p.d"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := *producerTopology(stream.Binding{Destination: "d"}); !reflect.DeepEqual(got, Topology{Exchanges: []Exchange{{Name: "d", Kind: "topic", Durable: true}}}) {
		t.Errorf("plain: %+v", got)
	}
}
