package config_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/config"
	"github.com/warren-mq/warren/libs/stream/memory"
)

// pasted is a block as it stands in the application.yml of a Spring Boot service, foreign parts included.
const pasted = `
server:
  port: 8080
spring:
  application.name: orders
  rabbitmq:
    addresses: broker-1:5672,broker-2
    username: app
    password: ${RABBIT_PASSWORD:s3cret/}
    virtual-host: shop/eu
    requested-heartbeat: 7
    listener.simple.observation-enabled: true
  cloud:
    function:
      definition: enrich|price;audit
      routing-expression: "headers['type'] == 'placed' ? 'enrich' : 'audit'"
    stream:
      instance-index: 2
      default:
        contentType: text/plain
        consumer:
          maxAttempts: 5
      bindings:
        enrichprice-in-0:
          destination: orders, returns
          group: pricing
          consumer:
            max-attempts: 7
            back-off-initial-interval: 250
            back_off_max_interval: 5s
            concurrency: 3
            partitioned: true
        enrichprice-out-0:
          destination: prices
          producer:
            partition-key-expression: payload.id
            partition-count: 4
            required-groups: [billing, "archive"]
        "[a.b]":
          destination: dotted
      rabbit:
        binder.connection-name-prefix: orders
        default:
          consumer:
            prefix: prod.
        bindings:
          enrichprice-in-0:
            consumer:
              autoBindDlq: true
              republish-to-dlq: false
              dlq-ttl: 5000
              dlq-dead-letter-exchange: ""
              quorum:
                enabled: true
                delivery-limit: 4
              binding-routing-key-delimiter: ";"
              binding-routing-key: a.*;b
              queue-binding-arguments:
                x-match: all
                n: 5
              delayed-retry.intervals: 1s, 500
              acknowledge-mode: manual
          enrichprice-out-0:
            producer:
              routing-key-expression: "'price.' + headers.type"
              delay-expression: "headers['delay'] ?: 100"
              delayed-exchange: true
              compress: true
              delivery-mode: NON_PERSISTENT
`

func mustParse(t *testing.T, yaml string, env ...string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(yaml), env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAPastedBlock(t *testing.T) {
	c := mustParse(t, pasted)
	empty := ""
	in := c.Binding("enrichprice-in-0")
	want := stream.Binding{
		Name: "enrichprice-in-0", Destination: "orders, returns", Group: "pricing", ContentType: "text/plain",
		Consumer: stream.ConsumerProperties{
			MaxAttempts: 7, BackOffInitialInterval: 250 * time.Millisecond, BackOffMaxInterval: 5 * time.Second, Concurrency: 3,
			Partitioned: true, InstanceIndex: 2, AutoBindDLQ: true, RepublishToDLQ: stream.Off, Acknowledge: stream.AckManual,
			DelayedRetry: stream.DelayedRetry{Intervals: []time.Duration{time.Second, 500 * time.Millisecond}},
			Queue: stream.QueueProperties{
				Prefix: "prod.", Quorum: stream.Quorum{Enabled: true, DeliveryLimit: 4}, BindingRoutingKeys: []string{"a.*", "b"},
				QueueBindingArgs: map[string]any{"x-match": "all", "n": int32(5)},
				DLQ:              stream.DeadLetterQueueProperties{TTL: 5 * time.Second, DeadLetterExchange: &empty},
			},
		},
	}
	in.Producer = stream.ProducerProperties{}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got  %+v\nwant %+v", in, want)
	}
	out := c.Binding("enrichprice-out-0").Producer
	m := stream.Raw{Headers: stream.Headers{"type": "x"}, Payload: []byte(`{"id": 9}`)}
	key, err := out.RoutingKeyFrom(m)
	if key != "price.x" || err != nil {
		t.Error(key, err)
	}
	if d, err := out.DelayFrom(m); d != 100*time.Millisecond || err != nil {
		t.Error(d, err)
	}
	if k := out.PartitionKey(m); k != int32(9) {
		t.Errorf("%T %v", k, k)
	}
	if out.PartitionCount != 4 || !out.Compress || !out.Transient || !out.Queue.DelayedExchange || fmt.Sprint(out.RequiredGroups) != "[billing archive]" {
		t.Errorf("%+v", out)
	}
	if b := c.Binding("a.b"); b.Destination != "dotted" || b.Consumer.MaxAttempts != 5 {
		t.Errorf("%+v", b)
	}
	if b := c.Binding("nobody-in-0"); b.Name != "nobody-in-0" || b.ContentType != "text/plain" {
		t.Errorf("%+v", b)
	}
	if c.Definition != "enrich|price;audit" {
		t.Error(c.Definition)
	}
	if name, err := c.Route(stream.Raw{Headers: stream.Headers{"type": "placed"}}); name != "enrich" || err != nil {
		t.Error(name, err)
	}
	r := c.Rabbit()
	if fmt.Sprint(r.Addresses) != "[amqp://app:s3cret%2F@broker-1:5672/shop%2Feu amqp://app:s3cret%2F@broker-2:5672/shop%2Feu]" ||
		r.ConnectionName != "orders" || r.Heartbeat != 7*time.Second {
		t.Errorf("%+v", r)
	}
	if _, err := c.NewApp(nil); err != nil {
		t.Error(err)
	}
	if names := fmt.Sprint(c.Names()); names != "[a.b enrichprice-in-0 enrichprice-out-0]" {
		t.Error(names)
	}
}

func TestTheEnvironmentWins(t *testing.T) {
	c := mustParse(t, pasted,
		"SPRING_CLOUD_STREAM_BINDINGS_ENRICHPRICE_IN_0_CONSUMER_MAX_ATTEMPTS=9",
		"SPRING_CLOUD_STREAM_BINDINGS_ENRICHPRICEOUT0_PRODUCER_REQUIREDGROUPS=one,two",
		"SPRING_CLOUD_STREAM_RABBIT_BINDINGS_ENRICHPRICE_IN_0_CONSUMER_QUORUM_DELIVERYLIMIT=8",
		"SPRING_CLOUD_STREAM_RABBIT_DEFAULT_CONSUMER_PREFIX=test.",
		"SPRING_CLOUD_STREAM_DEFAULT_GROUP=everyone",
		"SPRING_CLOUD_STREAM_BINDINGS_NEW_IN_0_DESTINATION=fresh",
		"SPRING_CLOUD_STREAM_INSTANCE_INDEX=1", "SPRING_INTEGRATION_POLLER_FIXEDDELAY=3s",
		"SPRING_CLOUD_FUNCTION_DEFINITION=other",
		"SPRING_RABBITMQ_VIRTUALHOST=v", "SPRING_RABBITMQ_SSL_ENABLED=true", "RABBIT_PASSWORD=p", "PATH=/bin", "SPRING_PROFILES_ACTIVE=x",
	)
	in := c.Binding("enrichprice-in-0")
	if in.Consumer.MaxAttempts != 9 || in.Consumer.Queue.Quorum.DeliveryLimit != 8 || in.Consumer.Queue.Prefix != "test." || in.Group != "pricing" || in.Consumer.InstanceIndex != 1 {
		t.Errorf("%+v", in)
	}
	if out := c.Binding("enrichprice-out-0"); fmt.Sprint(out.Producer.RequiredGroups) != "[one two]" || out.Producer.PollInterval != 3*time.Second {
		t.Errorf("%+v", out.Producer)
	}
	if b := c.Binding("new-in-0"); b.Destination != "fresh" || b.Group != "everyone" {
		t.Errorf("%+v", b)
	}
	if c.Definition != "other" {
		t.Error(c.Definition)
	}
	if r := c.Rabbit(); r.Addresses[0] != "amqps://app:p@broker-1:5672/v" {
		t.Error(r.Addresses)
	}
}

// Spring's own defaults, written out, change nothing.
func TestWrittenDefaults(t *testing.T) {
	c := mustParse(t, `
spring.integration:
  channel.auto-create: true
  poller: {fixed-delay: 2s, max-messages-per-poll: 3, receive-timeout: 1s}
spring.cloud.stream:
  instance-index: 0
  bindings:
    x.consumer: {max-attempts: 3, concurrency: 1, instance-index: -1, instance-count: -1}
    x.producer: {poller.initial-delay: 0}
  rabbit.bindings.x.consumer: {queue-max-priority: -1, consumer-priority: -1, prefetch: 1}
`)
	b := c.Binding("x")
	if p := b.Consumer; p.Queue.MaxPriority != 0 || p.ConsumerPriority != 0 || p.MaxAttempts != 3 || p.Prefetch != 1 || p.InstanceIndex != 0 {
		t.Errorf("%+v", p)
	}
	if p := b.Producer; p.PollInterval != 2*time.Second || p.MessagesPerPoll != 3 || p.InitialDelay != 0 {
		t.Errorf("%+v", p)
	}
}

func TestMistakes(t *testing.T) {
	consumer := func(s string) string { return "spring.cloud.stream.bindings.x.consumer." + s }
	rabbit := func(s string) string { return "spring.cloud.stream.rabbit.bindings.x." + s }
	for yaml, want := range map[string]string{
		consumer("max-atempts: 3"):                           `consumer.max-atempts: unknown key "max-atempts", the nearest is "maxAttempts"`,
		consumer("maxAttempts: three"):                       `"three" is no whole number`,
		consumer("autoStartup: maybe"):                       `"maybe" is neither true nor false`,
		consumer("backOffMaxInterval: -5"):                   `is no time`,
		consumer("retryableExceptions.java.lang.X: true"):    `Consumer.Retryable`,
		consumer("headerMode: embeddedHeaders"):              `"embeddedHeaders" is not one of headers, none`,
		"spring.cloud.stream.bindings.x.destinaton: d":       `the nearest is "destination"`,
		"spring.cloud.stream.bindigns.x.destination: d":      `unknown key "bindigns.x.destination"`,
		rabbit("consumer.autoBindDlqs: true"):                `the nearest is "autoBindDlq"`,
		rabbit("consumer.maxAttempts: 3"):                    `unknown key "maxAttempts"`,
		rabbit("consumer.quorum.enable: true"):               `the nearest is "quorum.enabled"`,
		rabbit("consumer.transacted: true"):                  `only false is`,
		rabbit("consumer.queueBindingArguments: x"):          `it is a map`,
		rabbit("producer.routingKeyExpression: payload.x()"): `there are no methods`,
		rabbit("producer.ackMode: x"):                        `unknown key "ackMode"`,
		consumer("maxAttempts: 0"):                           `"0": at least 1 is needed`,
		consumer("concurrency: 0"):                           `"0": at least 1 is needed`,
		consumer("backOffMultiplier: 0"):                     `"0": more than 0 is needed`,
		rabbit("consumer.ttl: 0"):                            `"0": more than 0 is needed`,
		rabbit("consumer.dlqMaxLength: 0"):                   `"0": at least 1 is needed`,
		rabbit("producer.batchTimeout: 0s"):                  `"0s": more than 0 is needed`,
		"spring.cloud.stream.poller.cron: '* * * * *'":       `use poller.fixedDelay`,
		"spring.integration.poller.cron: '* * * * *'":        `use poller.fixedDelay`,
		"spring.integration.poller.fixed-dely: 5":            `the nearest is "fixedDelay"`,
		"spring.rabbitmq.hots: x":                            `the nearest is "host"`,
		"spring.rabbitmq.host: ${NOWHERE}":                   `${NOWHERE} is not set`,
		"spring.cloud.stream.binders.b.type: kafka":          `only rabbit can be configured`,
		"spring.cloud.stream.bindings.x.binder: b":           `there is no binder "b"`,
		"spring.cloud.function.routing-expression: '1 +'":    `a value is expected`,
		"spring: [": `config:`,
		"spring.cloud.stream.bindings.x.group: [{a: b}]": `more than plain values`,
		"x: " + strings.Repeat("y", config.BytesMax):     `at most`,
	} {
		if _, err := config.Parse([]byte(yaml), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s\n  %v\n  want %s", yaml, err, want)
		}
	}
	for env, want := range map[string]string{
		"SPRING_CLOUD_STREAM_BINDINGS_X_IN_0_CONSUMER_MAXATEMPTS=3": `unknown key`,
		"SPRING_CLOUD_STREAM_NONSENSE=1":                            `unknown key "NONSENSE"`,
		"SPRING_RABBITMQ_HOTS=x":                                    `the nearest is "host"`,
	} {
		if _, err := config.Parse(nil, []string{env}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", env, err)
		}
	}
}

func TestSeveralBinders(t *testing.T) {
	c := mustParse(t, `
spring.rabbitmq.host: main
spring.cloud.stream:
  default-binder: eu
  binders:
    eu: {type: rabbit, environment: {spring: {rabbitmq: {host: eu}}}}
    us: {type: rabbit, inheritEnvironment: false, environment: {spring: {rabbitmq: {host: us, port: 5673}}}}
  bindings:
    a-in-0: {destination: a}
    b-out-0: {destination: b, binder: us}
`)
	if b := c.Binding("a-in-0").Binder; b != "eu" {
		t.Error(b)
	}
	if b := c.Binding("b-out-0").Binder; b != "us" {
		t.Error(b)
	}
	a, err := c.NewApp(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Bind(c.Binding("b-out-0"))
	if err := errors.Join(a.Start(t.Context()), a.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	a = stream.New(memory.New(memory.NewBroker()))
	a.Bind(c.Binding("b-out-0"))
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), `no binder "us"`) {
		t.Error(err)
	}
}

// Every key of every table is in the guide, so that it cannot fall behind.
func TestTheGuideHasEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/from-spring-cloud-stream.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range config.Keys() {
		if !strings.Contains(string(page), "`"+k.Name+"`") {
			t.Errorf("%s %s is missing: %s", k.Block, k.Name, k.Note)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(pasted))
	f.Fuzz(func(_ *testing.T, yaml []byte) {
		if c, err := config.Parse(yaml, nil); err == nil {
			for _, name := range c.Names() {
				c.Binding(name)
			}
		}
	})
}
