package brokertest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// onDisk makes nodes write to disk whatever is not taken at once, and notes where.
func onDisk(dirs map[string]string) func(*broker.Config) {
	return func(c *broker.Config) {
		c.MemtableBytes = 64 << 10
		dirs[c.Name] = c.DataDir
	}
}

// awaitRuns waits until the bytes that a node has in run files are as wanted.
func awaitRuns(t *testing.T, dir string, wanted func(bytes int64) bool) {
	t.Helper()
	for until := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir, "run", "*.run"))
		if err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, f := range files {
			if st, err := os.Stat(f); err == nil { // it may have gone
				total += st.Size()
			}
		}
		if wanted(total) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d bytes in the runs of %s", total, dir)
		}
	}
}

// fill publishes numbered messages of about 1 KiB, and waits for the confirms.
func fill(t *testing.T, ch *amqp.Channel, queue string, from, n int) {
	t.Helper()
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	waits := make([]*amqp.DeferredConfirmation, 0, n)
	for i := range n {
		c, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: filled(from + i),
		})
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, c)
	}
	for i, w := range waits {
		if ok, err := w.WaitContext(ctx); err != nil || !ok {
			t.Fatalf("message %d: confirmed %v, %v", i, ok, err)
		}
	}
}

func filled(i int) []byte { return fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 1000)) }

// drain takes n messages from a queue, in order.
func drain(t *testing.T, url, queue string, from, n int) {
	t.Helper()
	ch := dial(t, url)
	if err := ch.Qos(100, 0, false); err != nil {
		t.Fatal(err)
	}
	ds, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		d := receive(t, ds)
		if string(d.Body) != string(filled(from+i)) {
			t.Fatalf("got %.20q, want message %d", d.Body, from+i)
		}
		if err := d.Ack(false); err != nil {
			t.Fatal(err)
		}
	}
	if err := ch.Close(); err != nil {
		t.Fatal(err)
	}
}

// A backlog is on disk: it outlives all nodes, comes to a node that lost its disk, goes out
// in order, and leaves nothing behind.
func TestBacklog(t *testing.T) {
	dirs := map[string]string{}
	c := brokertest.StartCluster(t, 3, onDisk(dirs))
	ch := dial(t, c.Nodes[0].URL())
	const half = 2000
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	fill(t, ch, "q", 0, 2*half)
	for _, dir := range dirs {
		awaitRuns(t, dir, func(n int64) bool { return n > half*1000 })
	}
	for _, n := range c.Nodes {
		n.Kill()
	}
	for _, n := range c.Nodes {
		n.Start()
	}
	for _, n := range c.Nodes {
		n.AwaitReady()
	}
	drain(t, c.Nodes[0].URL(), "q", 0, half)
	c.Nodes[1].Kill()
	c.Nodes[1].Wipe()
	c.Nodes[1].Start()
	c.Nodes[1].AwaitReady()
	c.Nodes[0].Kill()
	fill(t, dial(t, c.Nodes[1].URL()), "q", 2*half, 10)
	drain(t, c.Nodes[1].URL(), "q", half, half+10)
	none := func(n int64) bool { return n == 0 }
	awaitRuns(t, dirs["broker-2"], none)
	awaitRuns(t, dirs["broker-3"], none)
}

// The same of queues that live on one node, durable or not.
func TestBacklogOfOneNode(t *testing.T) {
	dirs := map[string]string{}
	n := brokertest.Start(t, onDisk(dirs))
	ch := dial(t, n.URL())
	const all = 1000
	declare(t, ch, "durable", nil)
	if _, err := ch.QueueDeclare("transient", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	fill(t, ch, "transient", 0, all)
	awaitRuns(t, dirs["broker-1"], func(n int64) bool { return n > all*500 })
	drain(t, n.URL(), "transient", 0, all)
	fill(t, ch, "durable", 0, all)
	n.Kill()
	n.Start()
	n.AwaitReady()
	drain(t, n.URL(), "durable", 0, all)
	awaitRuns(t, dirs["broker-1"], func(n int64) bool { return n == 0 })
}

// What is on disk can be rejected, expire, be purged, and move with its queue.
func TestBacklogIsAQueueLikeAnyOther(t *testing.T) {
	dirs := map[string]string{}
	n := brokertest.Start(t, onDisk(dirs))
	ch := dial(t, n.URL())
	const all = 500
	declare(t, ch, "dead", amqp.Table{"x-queue-type": "quorum"})
	declare(t, ch, "q", amqp.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
	fill(t, ch, "q", 0, all)
	setPolicy(t, n, "limit", `{"pattern":"^q$","apply-to":"queues","definition":{"max-length":1}}`)
	drain(t, n.URL(), "dead", 0, all-1)
	if n := ready(t, ch, "q"); n != 1 {
		t.Errorf("%d messages are left", n)
	}
	declare(t, ch, "moves", nil)
	fill(t, ch, "moves", 0, all)
	setPolicy(t, n, "ha", `{"pattern":"^moves$","apply-to":"queues","definition":{"ha-mode":"all"}}`)
	drain(t, n.URL(), "moves", 0, all)
	fill(t, ch, "moves", 0, all)
	if n, err := ch.QueuePurge("moves", false); err != nil || n != all {
		t.Errorf("purged %d, %v", n, err)
	}
	if n := ready(t, ch, "moves"); n != 0 {
		t.Errorf("%d messages are left after the purge", n)
	}
}

// What a disk has damaged is never served: another member has it.
func TestADamagedBacklogIsRepaired(t *testing.T) {
	dirs := map[string]string{}
	var book logBook
	c := brokertest.StartCluster(t, 3, onDisk(dirs), book.option)
	ch := dial(t, c.Nodes[0].URL())
	const all = 4000 // the leader keeps the first of them in memory
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	fill(t, ch, "q", 0, all)
	dir := dirs[awaitMembers(t, c.Nodes[0], "q", 3)]
	awaitRuns(t, dir, func(n int64) bool { return n > all*500 })
	files, err := filepath.Glob(filepath.Join(dir, "run", "*.run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it was written anew
		}
		for at := 4000; at < len(b); at += 20000 {
			b[at] ^= 0x10
		}
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, c.Nodes[0].URL(), "q", 0, all)
	book.await(t, "messages repaired from another member")
}
