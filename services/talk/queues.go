package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/services/demo/system"
)

// The queues of the talk. Queue1 becomes a mirrored one, Queue2 stays where it is.
const (
	mirrored   = "Queue1"
	unmirrored = "Queue2"
	third      = "Queue3"
)

// node5673 is the node that the talk publishes to.
const node5673 = 2

// joinCluster makes one cluster of three nodes, and declares a queue on each.
func joinCluster(ctx context.Context, s *stage) (string, error) {
	for n := 2; n <= system.Nodes; n++ {
		if err := s.join(ctx, n); err != nil {
			return "", err
		}
	}
	if err := s.repair(ctx); err != nil {
		return "", err
	}
	for i, q := range []string{mirrored, unmirrored, third} {
		if err := declare(s.NodeURL(i+1), q); err != nil {
			return "", err
		}
	}
	running, err := s.running(ctx, 1)
	if err != nil {
		return "", err
	}
	// A node may hear of a queue a moment after the one that it was declared on.
	wait, cancel := context.WithTimeout(ctx, hearsay)
	defer cancel()
	var lists []string
	err = s.until(wait, func(context.Context) (err error) {
		lists, err = s.lists(ctx)
		if err == nil && len(slices.Compact(slices.Clone(lists))) > 1 {
			err = errNotTheSame
		}
		return err
	})
	switch {
	case errors.Is(err, errNotTheSame):
		return fmt.Sprintf("%d nodes run; they list %q", len(running), lists), nil
	case err != nil:
		return "", err
	}
	return fmt.Sprintf("%d nodes run; each lists %s", len(running), lists[0]), nil
}

// hearsay is how long nodes may take to hear of a queue.
const hearsay = 10 * time.Second

var errNotTheSame = errors.New("the nodes do not list the same")

// lists are the names of the queues that each node lists.
func (s *stage) lists(ctx context.Context) (lists []string, err error) {
	for n := 1; n <= system.Nodes; n++ {
		queues, err := s.rows(ctx, n, "list_queues", "name")
		if err != nil {
			return nil, err
		}
		names := []string{}
		for _, q := range queues {
			names = append(names, q[0])
		}
		slices.Sort(names)
		lists = append(lists, strings.Join(names, " "))
	}
	return lists, nil
}

// join lets node n join the first. RabbitMQ's has to give up what it has before.
func (s *stage) join(ctx context.Context, n int) error {
	steps := [][]string{{"join_cluster", system.BrokerName(1)}}
	if s.broker == system.RabbitMQ {
		steps = [][]string{{"stop_app"}, {"reset"}, {"join_cluster", system.BrokerName(1) + "@localhost"}, {"start_app"}}
	}
	for _, args := range steps {
		if _, err := s.Ctl(ctx, n, args...); err != nil {
			return err
		}
	}
	return nil
}

// stopAnotherNode stops a node that has nothing to do with the queue.
func stopAnotherNode(ctx context.Context, s *stage) (string, error) {
	if err := publish(ctx, s.NodeURL(node5673), unmirrored, 0); err != nil {
		return "", err
	}
	q, err := s.led(ctx, node5673, unmirrored)
	if err != nil {
		return "", err
	}
	home := number(q.leader)
	stopped := other(home, other(home)) // the talk consumes on 5674, unless that is where the queue is
	if err := s.Stop(ctx, system.BrokerName(stopped)); err != nil {
		return "", err
	}
	return s.gets(ctx, other(stopped, home))
}

// gets consumes from the unmirrored queue through a node.
func (s *stage) gets(ctx context.Context, n int) (string, error) {
	count, err := 0, error(nil)
	err = s.until(ctx, func(ctx context.Context) error {
		count, err = consume(ctx, s.NodeURL(n), unmirrored)
		return err
	})
	return fmt.Sprintf("gets %d", count), err
}

// stopHome stops the node that has the queue.
func stopHome(ctx context.Context, s *stage) (string, error) {
	if err := publish(ctx, s.NodeURL(node5673), unmirrored, 0); err != nil {
		return "", err
	}
	q, err := s.led(ctx, node5673, unmirrored)
	if err != nil {
		return "", err
	}
	home := number(q.leader)
	if err := s.Stop(ctx, q.leader); err != nil {
		return "", err
	}
	var refused *amqp.Error
	if err := s.until(ctx, func(ctx context.Context) error {
		_, err := consume(ctx, s.NodeURL(other(home)), unmirrored)
		if !errors.As(err, &refused) || refused.Code == amqp.ChannelError {
			return fmt.Errorf("the queue is not refused yet: %w", err)
		}
		return nil
	}); err != nil {
		return "", err
	}
	if err := s.Start(ctx, false, q.leader); err != nil {
		return "", err
	}
	got, err := s.gets(ctx, other(home))
	return fmt.Sprintf("%d until the node is back; then %s", refused.Code, got), err
}

// mirror lets a queue that holds messages be on all nodes.
func mirror(ctx context.Context, s *stage) (string, error) {
	if err := publish(ctx, s.NodeURL(node5673), mirrored, 0); err != nil {
		return "", err
	}
	if _, err := s.Ctl(ctx, 1, "set_policy", "ha-all", "^"+mirrored+"$", `{"ha-mode":"all"}`); err != nil {
		return "", err
	}
	var q copies
	err := s.until(ctx, func(ctx context.Context) (err error) {
		q, err = s.queue(ctx, 1, mirrored)
		if err == nil && len(q.followers) < system.Nodes-1 {
			err = fmt.Errorf("copies on %v only", q.followers)
		}
		return err
	})
	return fmt.Sprintf("policy %s; pid and %d slave_pids; %d messages", q.policy, len(q.followers), q.messages), err
}

// refill lets the mirrored queue hold five messages that all nodes have. RabbitMQ gives a copy no message that is older than it.
func (s *stage) refill(ctx context.Context) (copies, error) {
	if err := empty(s.NodeURL(1), mirrored); err != nil {
		return copies{}, err
	}
	if err := publish(ctx, s.NodeURL(node5673), mirrored, 0); err != nil {
		return copies{}, err
	}
	var q copies
	err := s.until(ctx, func(ctx context.Context) (err error) {
		q, err = s.queue(ctx, 1, mirrored)
		if err == nil && (q.leader == "" || len(q.synced) < system.Nodes-1 || q.messages != bodies) {
			err = fmt.Errorf("%d messages, synchronised on %v", q.messages, q.synced)
		}
		return err
	})
	return q, err
}

// late is how long a copy that only gets what is new is watched, to see that it stays so.
const late = 5 * time.Second

// stopLeader stops the leader, and looks whether it has all messages when it is back.
func stopLeader(ctx context.Context, s *stage) (string, error) {
	before, err := s.refill(ctx)
	if err != nil {
		return "", err
	}
	if err := s.Stop(ctx, before.leader); err != nil {
		return "", err
	}
	witness := other(number(before.leader))
	var after copies
	if err := s.until(ctx, func(ctx context.Context) (err error) {
		after, err = s.queue(ctx, witness, mirrored)
		if err == nil && (after.leader == before.leader || after.leader == "" || after.messages != bodies) {
			err = fmt.Errorf("led by %s, with %d messages", after.leader, after.messages)
		}
		return err
	}); err != nil {
		return "", err
	}
	if err := s.Start(ctx, false, before.leader); err != nil {
		return "", err
	}
	if err := s.until(ctx, func(ctx context.Context) error {
		q, err := s.queue(ctx, witness, mirrored)
		if err == nil && !slices.Contains(append(q.followers, q.leader), before.leader) {
			err = fmt.Errorf("copies on %v", q.followers)
		}
		return err
	}); err != nil {
		return "", err
	}
	watch, cancel := context.WithTimeout(ctx, late)
	defer cancel()
	gets := "everything"
	if s.until(watch, func(context.Context) error {
		q, err := s.queue(ctx, witness, mirrored)
		if err == nil && !slices.Contains(append(q.synced, q.leader), before.leader) {
			err = errors.New("it lacks messages")
		}
		return err
	}) != nil {
		gets = "only what is new"
	}
	return fmt.Sprintf("the next leads, with %d; who joins later gets %s", after.messages, gets), nil
}

// killLeader kills the node that leads the queue, as a power cut would.
func killLeader(ctx context.Context, s *stage) (string, error) {
	q, err := s.refill(ctx)
	if err != nil {
		return "", err
	}
	if err := s.Kill(ctx, q.leader); err != nil {
		return "", err
	}
	count := 0
	err = s.until(ctx, func(ctx context.Context) (err error) {
		count, err = consume(ctx, s.NodeURL(other(number(q.leader))), mirrored)
		return err
	})
	return fmt.Sprintf("gets %d", count), err
}
