//go:build interop

package interop_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/warren-mq/warren/libs/stream"
)

const partitions = 3

// keys are partition keys as the application takes them, and as Go has them.
var keys = map[string]any{
	"string a": "a", "string b": "b", "string order-4711": "order-4711", "string größe": "größe", "string 😀 smile": "😀 smile",
	"string polygenelubricants": "polygenelubricants", // its hash is the least integer
	"int 7":                     int32(7), "int -7": int32(-7), "long 4294967301": int64(4294967301), "long -9": int64(-9), "boolean true": true,
	"boolean false": false, "double 1.5": 1.5, "uuid 0198a7c2-9d1e-7b3a-8f00-5c2b7a90e411": uuid.MustParse("0198a7c2-9d1e-7b3a-8f00-5c2b7a90e411"),
}

// The same key is the same partition, whoever sends and whoever receives.
func testPartitions(t *testing.T, s *spring) {
	g := newService(t, s)
	out := g.out("keys")
	out.Producer.PartitionCount = partitions
	out.Producer.PartitionKey = func(m stream.Raw) any { return keys[string(m.Payload)] }
	g.Bind(out)
	in := g.binding("hashed")
	in.Consumer.Partitioned, in.Consumer.InstanceIndexes = true, []int{0, 1, 2}
	got := newInbox[string]()
	stream.Consume(g.App, in, got.take)
	g.start(t)
	used := map[int]bool{}
	for name, key := range keys {
		want, err := stream.Partition(key, partitions)
		if err != nil {
			t.Fatal(err)
		}
		used[want] = true
		send(t, g, "keys-out", stream.NewMessage(name))
		s.tell(t, "partitioned", map[string]string{"key": name}, name)
	}
	if len(used) != partitions {
		t.Fatalf("the keys use partitions %v only", used)
	}
	for range keys {
		r := s.next(t, "parts")
		want, _ := stream.Partition(keys[r.Payload.(string)], partitions)
		if q := r.Headers["amqp_consumerQueue"].Value; q != fmt.Sprintf("%s.keys.spring-%d", s.run, want) {
			t.Errorf("Go sent %q to %s, want partition %d", r.Payload, q, want)
		}
		m := got.next(t)
		want, _ = stream.Partition(keys[m.Payload], partitions)
		if m.Delivery.Partition != want || !strings.HasSuffix(m.Delivery.Queue, fmt.Sprint("-", want)) {
			t.Errorf("Spring sent %q to %s, want partition %d", m.Payload, m.Delivery.Queue, want)
		}
	}
}
