package system

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/failure"
)

const (
	conductorLook = 100 * time.Millisecond // how often the switches are looked at: a time may run out
	// killHold is how long a leader stands still before it is killed, less than what others need to notice: what is published
	// meanwhile waits for it, and nobody can confirm it.
	killHold = 300 * time.Millisecond
)

// Brokers are the nodes to whom something can be done, by their names.
type Brokers interface {
	// Kill ends nodes as a power cut would; Start starts them and waits until they can be used.
	Kill(ctx context.Context, names ...string) error
	Start(ctx context.Context, fresh bool, names ...string) error
	// Restart stops a node and starts it again, with less memory than it needs if it is to starve.
	Restart(ctx context.Context, name string, starve bool) error
	// Freeze stops a node where it is, as if its machine were cut off; Thaw lets it go on.
	Freeze(name string) error
	Thaw(name string) error
	// Leader is the node that leads a queue.
	Leader(ctx context.Context, queue string) (string, error)
}

var _ Brokers = (*System)(nil)

// Conductor makes the failures that happen to brokers, and ends them.
type Conductor struct {
	Brokers  Brokers
	Failures *failure.Set
	Log      *slog.Logger

	killed, alarmed string // nodes, "" for none
	frozen          []string
	restarted       bool
}

// Run follows the switches until ctx ends, and then repairs everything.
func (c *Conductor) Run(ctx context.Context) error {
	tick := time.NewTicker(conductorLook)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := c.follow(ctx); err != nil && ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "conductor", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return c.thaw() // what is frozen cannot even be stopped; what is down is not ours to start when all ends
}

func (c *Conductor) follow(ctx context.Context) error {
	return errors.Join(c.kill(ctx), c.partition(), c.roll(ctx), c.alarm(ctx))
}

// kill ends the node that leads the queue of new orders when it has messages that it has not confirmed.
func (c *Conductor) kill(ctx context.Context) (err error) {
	switch _, on := c.Failures.Value(failure.LeaderKilled); {
	case on && c.killed == "":
		leader, err := c.Brokers.Leader(ctx, events.OrderPlaced{}.Destination()+"."+events.GroupPayment)
		if err != nil {
			return err
		}
		c.killed = leader
		c.Failures.Hit(failure.LeaderKilled)
		err = c.Brokers.Freeze(leader)
		hold, cancel := context.WithTimeout(ctx, killHold)
		<-hold.Done()
		cancel()
		return errors.Join(err, c.Brokers.Kill(ctx, leader))
	case !on && c.killed != "":
		err = c.Brokers.Start(ctx, false, c.killed)
		c.killed = ""
	}
	return err
}

// partition freezes nodes: to the others they are cut off.
func (c *Conductor) partition() error {
	n, on := c.Failures.Value(failure.Partition)
	switch {
	case on && len(c.frozen) != int(n):
		if err := c.thaw(); err != nil {
			return err
		}
		for i := Nodes; i > Nodes-int(n); i-- {
			if err := c.Brokers.Freeze(BrokerName(i)); err != nil {
				return err
			}
			c.frozen = append(c.frozen, BrokerName(i))
			c.Failures.Hit(failure.Partition)
		}
	case !on && len(c.frozen) > 0:
		return c.thaw()
	}
	return nil
}

func (c *Conductor) thaw() (err error) {
	for _, name := range c.frozen {
		err = errors.Join(err, c.Brokers.Thaw(name))
	}
	c.frozen = nil
	return err
}

// roll restarts one node after the other, once.
func (c *Conductor) roll(ctx context.Context) error {
	if _, on := c.Failures.Value(failure.RollingRestart); !on {
		c.restarted = false
		return nil
	}
	if c.restarted {
		return nil
	}
	c.restarted = true
	for i := range Nodes {
		if err := c.Brokers.Restart(ctx, BrokerName(i+1), false); err != nil {
			return err
		}
		c.Failures.Hit(failure.RollingRestart)
	}
	return nil
}

// alarm restarts a node with less memory than it needs.
func (c *Conductor) alarm(ctx context.Context) (err error) {
	switch _, on := c.Failures.Value(failure.Alarm); {
	case on && c.alarmed == "":
		c.alarmed = BrokerName(Nodes)
		c.Failures.Hit(failure.Alarm)
		return c.Brokers.Restart(ctx, c.alarmed, true)
	case !on && c.alarmed != "":
		err = c.Brokers.Restart(ctx, c.alarmed, false)
		c.alarmed = ""
	}
	return err
}

// Leader implements Brokers.
func (s *System) Leader(ctx context.Context, queue string) (string, error) {
	urls := make([]string, 0, Nodes)
	for n := 1; n <= Nodes; n++ {
		urls = append(urls, strings.Replace(s.ManagementURL(n), "//", "//guest:guest@", 1))
	}
	name, err := Leader(ctx, s.client, urls, queue)
	return s.NodeName(name), err
}

// Leader asks management APIs in turn who leads a queue of virtual host /. Their addresses hold user and password.
func Leader(ctx context.Context, client *http.Client, management []string, queue string) (string, error) {
	var errs []error
	for _, base := range management {
		name, err := askLeader(ctx, client, base+"/api/queues/%2F/"+queue)
		if err == nil && name != "" {
			return name, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no node knows who leads %s: %w", queue, errors.Join(errs...))
}

func askLeader(ctx context.Context, client *http.Client, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var q struct{ Leader string }
	if err := json.NewDecoder(resp.Body).Decode(&q); err != nil {
		return "", fmt.Errorf("%s: %s: %w", req.URL.Redacted(), resp.Status, err)
	}
	return q.Leader, nil
}

// Tend starts services again that ended by themselves, as a container engine would, until ctx ends. told is called for each.
func (s *System) Tend(ctx context.Context, told func(name string)) error {
	tick := time.NewTicker(conductorLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, name := range []string{Order, Payment, Product, Shipment} {
			if p := s.process(name); p.over != nil && p.hasEnded() {
				told(name)
				if err := p.start(false); err != nil {
					return err
				}
			}
		}
	}
}
