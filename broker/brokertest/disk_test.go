package brokertest_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/broker/internal/storage"
)

// disk is a node's disk with a fault that can be switched on and off.
type disk struct {
	mu    sync.Mutex
	verb  string
	fault *storage.Fault
}

func (d *disk) set(verb string, f *storage.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verb, d.fault = verb, f
}

func (d *disk) fail(op storage.Operation) *storage.Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	if op.Verb == d.verb && strings.HasPrefix(op.Name, "wal/") {
		return d.fault
	}
	return nil
}

// onDisks starts a cluster with a quorum queue q of 100 messages, and returns its nodes'
// disks by name and the nodes: the queue's leader, and another.
func onDisks(t *testing.T) (disks map[string]*disk, leader, other *brokertest.Node) {
	t.Helper()
	disks = map[string]*disk{}
	c := brokertest.StartCluster(t, 3, func(cfg *broker.Config) {
		d := &disk{}
		disks[cfg.Name] = d
		cfg.OverFS(func(fs storage.FS) storage.FS { return storage.NewFaultFS(fs, d.fail) })
	})
	ch := dial(t, c.Nodes[0].URL())
	declare(t, ch, "q", amqp.Table{"x-queue-type": "quorum"})
	publish(t, ch, "q", 0, 100)
	name := awaitMembers(t, c.Nodes[0], "q", 3)
	for i, n := range c.Nodes {
		if n.Name() == name {
			return disks, n, c.Nodes[(i+1)%3]
		}
	}
	t.Fatalf("node %q leads", name)
	return nil, nil, nil
}

func TestADiskThatStalls(t *testing.T) {
	disks, leader, other := onDisks(t)
	stall := make(chan struct{})
	release := sync.OnceFunc(func() { close(stall) })
	t.Cleanup(release)
	ch := dial(t, other.URL())
	disks[leader.Name()].set("sync", &storage.Fault{Wait: stall})
	publish(t, ch, "q", 100, 100) // confirmed by the others
	until(t, "another node leads", func() bool { return !leads(t, other, "q", leader.Name()) })
	until(t, "the node says why it is not ready", func() bool {
		status, body := manage(t, leader, http.MethodGet, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "the disk stalls")
	})
	disks[leader.Name()].set("", nil)
	release()
	leader.AwaitReady()
	until(t, "it caught up", func() bool { return len(voters(t, other, "q")) == 3 })
	expect(t, dial(t, leader.URL()), "q", 0, 200)
}

func TestAFullDisk(t *testing.T) {
	disks, leader, other := onDisks(t)
	ch := dial(t, other.URL())
	// A client that waits for something must not keep the node from ending.
	busy, waits := dial(t, leader.URL()), make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		for i := 0; ; i++ {
			if _, err := busy.QueueDeclare(fmt.Sprint("more-", i), true, false, false, false, nil); err != nil {
				return
			}
			if i == 0 {
				close(waits)
			}
		}
	})
	t.Cleanup(client.Wait)
	<-waits
	disks[leader.Name()].set("write", &storage.Fault{Err: syscall.ENOSPC, Short: 20})
	publish(t, ch, "q", 100, 100)
	err := leader.AwaitFailure()
	if err == nil || !strings.Contains(err.Error(), "wal/") || !strings.Contains(err.Error(), "no space left on device") {
		t.Fatalf("the node ended with %v", err)
	}
	t.Log(err)
	disks[leader.Name()].set("", nil)
	leader.Start()
	leader.AwaitReady()
	expect(t, dial(t, leader.URL()), "q", 0, 200)
}
