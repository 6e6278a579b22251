package rabbitmq_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/warren-mq/warren/libs/rabbitmq"
)

// Example writes what two nodes are started with. Whoever runs them runs Server with Env(i), and waits with Ctl(ctx, i,
// "await_startup").
func Example() {
	dir, err := os.MkdirTemp("", "rabbitmq-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c := &rabbitmq.Cluster{Dir: dir, EPMD: "127.0.0.1:4370", Nodes: []rabbitmq.Node{
		{Name: "a", AMQP: "127.0.0.1:5672", Peer: "127.0.0.1:25672"},
		{Name: "b", AMQP: "127.0.0.1:5673", Peer: "127.0.0.1:25673", Management: "127.0.0.1:15673"},
	}}
	for i := range c.Nodes {
		if err := c.Write(i); err != nil {
			panic(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "b", "rabbitmq.conf"))
	if err != nil {
		panic(err)
	}
	fmt.Print(string(text))
	fmt.Println(slices.Contains(c.Env(1), "RABBITMQ_NODE_PORT=5673"))
	// Output:
	// log.console = true
	// log.console.use_colors = off
	// management.tcp.ip = 127.0.0.1
	// management.tcp.port = 15673
	// collect_statistics_interval = 500
	// cluster_formation.peer_discovery_backend = classic_config
	// cluster_formation.classic_config.nodes.1 = a@localhost
	// cluster_formation.discovery_retry_limit = 240
	// cluster_formation.discovery_retry_interval = 500
	// true
}

func ExampleInstalled() {
	err := rabbitmq.Installed()
	fmt.Println(err == nil || errors.Is(err, rabbitmq.ErrNotInstalled))
	// Output: true
}

func ExampleShortName() {
	fmt.Println(rabbitmq.ShortName("broker-1@localhost"))
	// Output: broker-1
}

func ExampleMemoryAlarm() {
	fmt.Println(rabbitmq.MemoryAlarm(1 << 20))
	// Output: RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput -kernel inet_dist_use_interface {127,0,0,1} -rabbit vm_memory_high_watermark {absolute,1048576}
}
