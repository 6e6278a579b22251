package rabbit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// dump writes a topology as a person reads it: one object a line.
func dump(t *Topology) string {
	var b strings.Builder
	for _, x := range t.Exchanges {
		fmt.Fprintf(&b, "exchange %s %s%s%s\n", x.Name, x.Kind, flags(x.Durable, x.AutoDelete, false), args(x.Args))
	}
	for _, q := range t.Queues {
		fmt.Fprintf(&b, "queue %s%s%s\n", q.Name, flags(q.Durable, q.AutoDelete, q.Exclusive), args(q.Args))
	}
	for _, i := range t.Bindings {
		fmt.Fprintf(&b, "bind %s to %s by %q%s\n", i.Queue, i.Exchange, i.Key, args(i.Args))
	}
	return strings.TrimSpace(b.String())
}

func flags(durable, autoDelete, exclusive bool) string {
	s := ""
	if durable {
		s += " durable"
	}
	if autoDelete {
		s += " auto-delete"
	}
	if exclusive {
		s += " exclusive"
	}
	return s
}

func args(t map[string]any) string {
	var all []string
	for k, v := range t {
		all = append(all, fmt.Sprintf(" %s=%v(%T)", k, v, v))
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

const plain = "exchange d topic durable\nqueue d.g durable\nbind d.g to d by \"#\""

// Every property of a consumer that changes what is declared, alone.
func TestDeclaredByEachConsumerProperty(t *testing.T) {
	empty, other := "", "other"
	dlq := func(q stream.QueueProperties) stream.ConsumerProperties {
		return stream.ConsumerProperties{AutoBindDLQ: true, Queue: q}
	}
	only := func(q stream.QueueProperties) stream.ConsumerProperties { return stream.ConsumerProperties{Queue: q} }
	withDLQ := func(dlx, dlq string) string {
		return "exchange d topic durable\n" + dlx + "queue d.g.dlq durable" + dlq +
			"\nqueue d.g durable x-dead-letter-exchange=DLX(string) x-dead-letter-routing-key=d.g(string)\nbind d.g.dlq to DLX by \"d.g\"\nbind d.g to d by \"#\""
	}
	const dlx = "exchange DLX direct durable\n"
	for _, c := range []struct {
		name string
		p    stream.ConsumerProperties
		want string
	}{
		{"none", only(stream.QueueProperties{}), plain},
		{"exchangeType", only(stream.QueueProperties{ExchangeType: "direct"}), strings.Replace(plain, "topic", "direct", 1)},
		{"exchangeType fanout", only(stream.QueueProperties{ExchangeType: "fanout"}), strings.Replace(strings.Replace(plain, "topic", "fanout", 1), "#", "", 1)},
		{"queueBindingArguments", only(stream.QueueProperties{ExchangeType: "headers", QueueBindingArgs: map[string]any{"x-match": "all"}}),
			"exchange d headers durable\nqueue d.g durable\nbind d.g to d by \"\" x-match=all(string)"},
		{"queueBindingArguments of a topic exchange", only(stream.QueueProperties{QueueBindingArgs: map[string]any{"x-match": "all"}}), plain},
		{"declareExchange", only(stream.QueueProperties{DeclareExchange: stream.Off}), plain[len("exchange d topic durable\n"):]},
		{"exchangeDurable", only(stream.QueueProperties{ExchangeDurable: stream.Off}), strings.Replace(plain, "topic durable", "topic", 1)},
		{"exchangeAutoDelete", only(stream.QueueProperties{ExchangeAutoDelete: true}), strings.Replace(plain, "topic durable", "topic durable auto-delete", 1)},
		{"delayedExchange", only(stream.QueueProperties{DelayedExchange: true}), strings.Replace(plain, "topic durable", "x-delayed-message durable x-delayed-type=topic(string)", 1)},
		{"bindQueue", only(stream.QueueProperties{BindQueue: stream.Off}), "exchange d topic durable"},
		{"bindingRoutingKey", only(stream.QueueProperties{BindingRoutingKeys: []string{"a.*", "b"}}), "exchange d topic durable\nqueue d.g durable\nbind d.g to d by \"a.*\"\nbind d.g to d by \"b\""},
		{"queueNameGroupOnly", only(stream.QueueProperties{QueueNameGroupOnly: true}), strings.ReplaceAll(plain, "d.g", "g")},
		{"prefix", only(stream.QueueProperties{Prefix: "p."}), "exchange p.d topic durable\nqueue p.d.g durable\nbind p.d.g to p.d by \"#\""},
		{"ttl", only(stream.QueueProperties{TTL: time.Second}), strings.Replace(plain, "g durable", "g durable x-message-ttl=1000(int32)", 1)},
		{"a ttl beyond Integer", only(stream.QueueProperties{TTL: 40 * 24 * time.Hour}), strings.Replace(plain, "g durable", "g durable x-message-ttl=3456000000(int64)", 1)},
		{"expires", only(stream.QueueProperties{Expires: time.Minute}), strings.Replace(plain, "g durable", "g durable x-expires=60000(int32)", 1)},
		{"maxLength", only(stream.QueueProperties{MaxLength: 5}), strings.Replace(plain, "g durable", "g durable x-max-length=5(int32)", 1)},
		{"maxLengthBytes", only(stream.QueueProperties{MaxLengthBytes: 6}), strings.Replace(plain, "g durable", "g durable x-max-length-bytes=6(int32)", 1)},
		{"maxPriority", only(stream.QueueProperties{MaxPriority: 7}), strings.Replace(plain, "g durable", "g durable x-max-priority=7(int32)", 1)},
		{"overflowBehavior", only(stream.QueueProperties{OverflowBehavior: "reject-publish"}), strings.Replace(plain, "g durable", "g durable x-overflow=reject-publish(string)", 1)},
		{"lazy", only(stream.QueueProperties{Lazy: true}), strings.Replace(plain, "g durable", "g durable x-queue-mode=lazy(string)", 1)},
		{"singleActiveConsumer", only(stream.QueueProperties{SingleActiveConsumer: true}), strings.Replace(plain, "g durable", "g durable x-single-active-consumer=true(bool)", 1)},
		{"quorum", only(stream.QueueProperties{Quorum: stream.Quorum{Enabled: true, DeliveryLimit: 4, InitialGroupSize: 3}}),
			strings.Replace(plain, "g durable", "g durable x-delivery-limit=4(int32) x-queue-type=quorum(string) x-quorum-initial-group-size=3(int32)", 1)},
		{"quorum's properties without quorum", only(stream.QueueProperties{Quorum: stream.Quorum{DeliveryLimit: 4}}), plain},
		{"durableSubscription", stream.ConsumerProperties{DurableSubscription: stream.Off}, strings.Replace(plain, "g durable", "g auto-delete", 1)},

		{"autoBindDlq", dlq(stream.QueueProperties{}), withDLQ(dlx, "")},
		{"declareDlx", dlq(stream.QueueProperties{DeclareDLX: stream.Off}), withDLQ("", "")},
		{"deadLetterExchangeType", dlq(stream.QueueProperties{DeadLetterExchangeType: "topic"}), withDLQ("exchange DLX topic durable\n", "")},
		{"dlqBindingArguments", dlq(stream.QueueProperties{DeadLetterExchangeType: "headers", DLQBindingArgs: map[string]any{"k": "v"}}),
			strings.Replace(withDLQ("exchange DLX headers durable\n", ""), "by \"d.g\"", "by \"d.g\" k=v(string)", 1)},
		{"deadLetterQueueName", dlq(stream.QueueProperties{DeadLetterQueueName: "dead"}), strings.ReplaceAll(withDLQ(dlx, ""), "d.g.dlq", "dead")},
		{"deadLetterExchange", dlq(stream.QueueProperties{DeadLetterExchange: &other}), strings.ReplaceAll(withDLQ(dlx, ""), "DLX", "other")},
		{"deadLetterExchange is the default one", dlq(stream.QueueProperties{DeadLetterExchange: &empty}),
			"exchange d topic durable\nqueue d.g.dlq durable\nqueue d.g durable x-dead-letter-exchange=(string) x-dead-letter-routing-key=d.g(string)\nbind d.g to d by \"#\""},
		{"deadLetterRoutingKey", dlq(stream.QueueProperties{DeadLetterRoutingKey: "k"}),
			"exchange d topic durable\n" + dlx + "queue d.g.dlq durable\nqueue d.g durable x-dead-letter-exchange=DLX(string) x-dead-letter-routing-key=k(string)\n" +
				"bind d.g.dlq to DLX by \"k\"\nbind d.g.dlq to DLX by \"d.g\"\nbind d.g to d by \"#\""},
		{"prefix and autoBindDlq", dlq(stream.QueueProperties{Prefix: "p."}),
			"exchange p.d topic durable\nexchange p.DLX direct durable\nqueue p.d.g.dlq durable\nqueue p.d.g durable x-dead-letter-exchange=p.DLX(string) x-dead-letter-routing-key=p.d.g(string)\n" +
				"bind p.d.g.dlq to p.DLX by \"p.d.g\"\nbind p.d.g to p.d by \"#\""},
		{"republishToDlq off and deadLetterRoutingKey", stream.ConsumerProperties{AutoBindDLQ: true, RepublishToDLQ: stream.Off, Queue: stream.QueueProperties{DeadLetterRoutingKey: "k"}},
			"exchange d topic durable\n" + dlx + "queue d.g.dlq durable\nqueue d.g durable x-dead-letter-exchange=DLX(string) x-dead-letter-routing-key=k(string)\n" +
				"bind d.g.dlq to DLX by \"k\"\nbind d.g to d by \"#\""},
		{"dlqTtl, dlqDeadLetterExchange", dlq(stream.QueueProperties{DLQ: stream.DeadLetterQueueProperties{TTL: 5 * time.Second, DeadLetterExchange: &empty}}),
			withDLQ(dlx, " x-dead-letter-exchange=(string) x-message-ttl=5000(int32)")},
		{"all the others of the DLQ", dlq(stream.QueueProperties{DLQ: stream.DeadLetterQueueProperties{
			Expires: time.Second, MaxLength: 1, MaxLengthBytes: 2, MaxPriority: 3, OverflowBehavior: "drop-head", SingleActiveConsumer: true, Lazy: true,
			Quorum: stream.Quorum{Enabled: true, DeliveryLimit: 4, InitialGroupSize: 5}, DeadLetterRoutingKey: "k",
		}}), withDLQ(dlx, " x-dead-letter-routing-key=k(string) x-delivery-limit=4(int32) x-expires=1000(int32) x-max-length-bytes=2(int32) x-max-length=1(int32)"+
			" x-max-priority=3(int32) x-overflow=drop-head(string) x-queue-mode=lazy(string) x-queue-type=quorum(string) x-quorum-initial-group-size=5(int32) x-single-active-consumer=true(bool)")},
		{"partitioned", stream.ConsumerProperties{Partitioned: true, InstanceIndex: 2}, "exchange d topic durable\nqueue d.g-2 durable\nbind d.g-2 to d by \"d-2\""},
		{"partitioned, bindingRoutingKey", stream.ConsumerProperties{Partitioned: true, Queue: stream.QueueProperties{BindingRoutingKeys: []string{"k"}}},
			"exchange d topic durable\nqueue d.g-0 durable\nbind d.g-0 to d by \"k-0\""},
		{"delayed retry, ours", stream.ConsumerProperties{DelayedRetry: stream.DelayedRetry{Intervals: []time.Duration{time.Second, time.Second, time.Minute}}},
			"exchange d topic durable\nqueue d.g.retry.1000 durable x-dead-letter-exchange=(string) x-dead-letter-routing-key=d.g(string)\n" +
				"queue d.g.retry.60000 durable x-dead-letter-exchange=(string) x-dead-letter-routing-key=d.g(string)\nqueue d.g durable\nbind d.g to d by \"#\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := dump(consumerTopology(stream.Binding{Destination: "d", Group: "g", Consumer: c.p}, "g")); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestDeclaredByEachProducerProperty(t *testing.T) {
	for _, c := range []struct {
		name string
		p    stream.ProducerProperties
		want string
	}{
		{"none", stream.ProducerProperties{}, "exchange d topic durable"},
		{"prefix", stream.ProducerProperties{Queue: stream.QueueProperties{Prefix: "p."}}, "exchange p.d topic durable"},
		{"delayedExchange", stream.ProducerProperties{Queue: stream.QueueProperties{DelayedExchange: true, ExchangeType: "fanout"}}, "exchange d x-delayed-message durable x-delayed-type=fanout(string)"},
		{"requiredGroups", stream.ProducerProperties{RequiredGroups: []string{"g", "h"}}, "exchange d topic durable\nqueue d.g durable\nqueue d.h durable\nbind d.g to d by \"#\"\nbind d.h to d by \"#\""},
		{"alternateExchange", stream.ProducerProperties{AlternateExchange: stream.AlternateExchange{Name: "alt", Queue: "lost"}},
			"exchange alt topic durable\nexchange d topic durable alternate-exchange=alt(string)\nqueue lost durable\nbind lost to alt by \"#\""},
		{"alternateExchange that is a fanout", stream.ProducerProperties{AlternateExchange: stream.AlternateExchange{Name: "alt", Type: "fanout", Queue: "lost", RoutingKey: "k"}},
			"exchange alt fanout durable\nexchange d topic durable alternate-exchange=alt(string)\nqueue lost durable\nbind lost to alt by \"\""},
		{"alternateExchange that exists", stream.ProducerProperties{AlternateExchange: stream.AlternateExchange{Name: "alt", Exists: true, Queue: "lost"}},
			"exchange d topic durable alternate-exchange=alt(string)"},
		{"partitionCount, bindingRoutingKey", stream.ProducerProperties{RequiredGroups: []string{"g"}, PartitionCount: 2, Queue: stream.QueueProperties{BindingRoutingKeys: []string{"k"}}},
			"exchange d topic durable\nqueue d.g-0 durable\nqueue d.g-1 durable\nbind d.g-0 to d by \"k-0\"\nbind d.g-1 to d by \"k-1\""},
		{"a partition key and one partition", stream.ProducerProperties{RequiredGroups: []string{"g"}, PartitionCount: 1, PartitionKey: func(stream.Raw) any { return "k" }},
			"exchange d topic durable\nqueue d.g-0 durable\nbind d.g-0 to d by \"d-0\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := dump(producerTopology(stream.Binding{Destination: "d", Producer: c.p})); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// A group that its producer requires and its consumer joins is declared alike, or one of them would be refused.
func TestProducerAndConsumerAgree(t *testing.T) {
	q := stream.QueueProperties{Prefix: "p.", TTL: time.Second, Quorum: stream.Quorum{Enabled: true}, DLQ: stream.DeadLetterQueueProperties{MaxLength: 3}}
	producer := producerTopology(stream.Binding{Destination: "d", Producer: stream.ProducerProperties{RequiredGroups: []string{"g"}, AutoBindDLQ: true, Queue: q}})
	consumer := consumerTopology(stream.Binding{Destination: "d", Group: "g", Consumer: stream.ConsumerProperties{AutoBindDLQ: true, Queue: q}}, "g")
	if dump(producer) != dump(consumer) {
		t.Errorf("producer\n%s\nconsumer\n%s", dump(producer), dump(consumer))
	}
}
