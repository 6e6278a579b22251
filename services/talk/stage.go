package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
)

// stage is three nodes of a broker and the proxy before them.
type stage struct {
	*system.System
	broker system.Broker
	dir    string
}

const (
	pollInterval = 200 * time.Millisecond
	askTimeout   = 20 * time.Second // for the answer of a node or a tool
)

// newStage starts the nodes, each a cluster of its own yet. RabbitMQ gets an HAProxy that is set up as in the talk, where there is
// one.
func newStage(ctx context.Context, bin string, b system.Broker) (*stage, error) {
	if _, err := system.ReadBroker(func(string) string { return string(b) }); err != nil {
		return nil, err
	}
	ports, err := system.FreePorts()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "talk-")
	if err != nil {
		return nil, err
	}
	cfg := system.Config{Bin: bin, State: dir, Ports: ports, Broker: b, Alone: true, Env: []string{"LOG_FORMAT=bracket", "SHIPMENT_PACKING=200ms", "SHIPMENT_DELIVERY=200ms"}}
	if b == system.RabbitMQ {
		cfg.HAProxy, _ = exec.LookPath("haproxy") // else it is the balancer
	}
	s := &stage{System: system.New(cfg), broker: b, dir: dir}
	if err := s.Start(ctx, true, s.Cluster()...); err != nil {
		return nil, errors.Join(err, s.close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// close stops everything and removes what it has written, unless something went wrong with that.
func (s *stage) close(ctx context.Context) error {
	if err := s.Down(ctx); err != nil {
		return fmt.Errorf("%w; logs are in %s", err, s.dir)
	}
	return os.RemoveAll(s.dir)
}

// repair starts the nodes that an experiment has left down.
func (s *stage) repair(ctx context.Context) error {
	for _, name := range s.Cluster() {
		if s.PID(name) == 0 {
			if err := s.Start(ctx, false, name); err != nil {
				return err
			}
		}
	}
	return s.until(ctx, func(ctx context.Context) error {
		for n := 1; n <= system.Nodes; n++ {
			running, err := s.running(ctx, n)
			if err != nil || len(running) != system.Nodes {
				return fmt.Errorf("node %d sees %v: %w", n, running, err)
			}
		}
		return nil
	})
}

// until calls f until it returns nil, or ctx ends: then f's last error is the result.
func (s *stage) until(ctx context.Context, f func(ctx context.Context) error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, askTimeout)
		err := f(one)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// running returns the nodes that node n sees running.
func (s *stage) running(ctx context.Context, n int) ([]string, error) {
	var status struct {
		Running []string `json:"running_nodes"`
	}
	text, err := s.Ctl(ctx, n, "--formatter", "json", "cluster_status")
	if err == nil {
		err = json.Unmarshal([]byte(text), &status)
	}
	for i := range status.Running {
		status.Running[i] = s.NodeName(status.Running[i])
	}
	slices.Sort(status.Running)
	return status.Running, err
}

// copies is where a queue is: the names of the node that leads it, or has its only copy, and of those that follow.
type copies struct {
	policy            string
	leader            string
	followers, synced []string
	messages          int
}

// queue returns what node n says of a queue.
func (s *stage) queue(ctx context.Context, n int, name string) (copies, error) {
	rows, err := s.rows(ctx, n, "list_queues", "name", "policy", "pid", "slave_pids", "synchronised_slave_pids", "messages")
	if err != nil {
		return copies{}, err
	}
	for _, q := range rows {
		if q[0] != name {
			continue
		}
		c := copies{policy: q[1], followers: s.nodes(q[3]), synced: s.nodes(q[4])}
		if at := s.nodes(q[2]); len(at) == 1 {
			c.leader = at[0]
		}
		if c.messages, err = strconv.Atoi(q[5]); err != nil && q[5] != "" {
			return copies{}, err
		}
		return c, nil
	}
	return copies{}, fmt.Errorf("node %d does not know queue %s", n, name)
}

// led waits until a queue has a leader.
func (s *stage) led(ctx context.Context, n int, name string) (q copies, err error) {
	err = s.until(ctx, func(ctx context.Context) (err error) {
		q, err = s.queue(ctx, n, name)
		if err == nil && q.leader == "" {
			err = fmt.Errorf("queue %s is led by nobody", name)
		}
		return err
	})
	return q, err
}

// rows asks node n's tool for a list.
func (s *stage) rows(ctx context.Context, n int, command string, columns ...string) ([][]string, error) {
	text, err := s.Ctl(ctx, n, append([]string{command}, columns...)...)
	if err != nil {
		return nil, err
	}
	var out [][]string
	for line := range strings.Lines(text) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(row) == len(columns) && row[0] != columns[0] {
			out = append(out, row)
		}
	}
	return out, nil
}

var nodeName = regexp.MustCompile(`broker-[0-9]+`)

// nodes are those that are named in a list of process ids. RabbitMQ's are <node@host.1.2.3>, the bundled broker's are the nodes.
func (s *stage) nodes(pids string) []string {
	out := nodeName.FindAllString(pids, -1)
	slices.Sort(out)
	return out
}

// number is that of the node of a name, from 1.
func number(name string) int {
	for n := 1; n <= system.Nodes; n++ {
		if system.BrokerName(n) == name {
			return n
		}
	}
	panic("no node is called " + name) // the names are the system's
}

// other is a node that is none of these, by number.
func other(not ...int) int {
	for n := system.Nodes; n >= 1; n-- {
		if !slices.Contains(not, n) {
			return n
		}
	}
	panic("there is no other node")
}
