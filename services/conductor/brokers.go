package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
)

const (
	askTimeout     = 30 * time.Second // an agent may wait for its child's end
	readyTimeout   = 60 * time.Second
	readyInterval  = 100 * time.Millisecond
	answerBytesMax = 1 << 10
	signalTimeout  = 5 * time.Second
	// starving is less memory than a node has when it does nothing.
	starving = "WARREN_MEMORY_LIMIT=1MiB"
)

// brokers are the nodes behind their agents.
type brokers struct {
	management map[string]*url.URL // by the node's name, which is its host
	urls       []string
	client     *http.Client
}

var _ system.Brokers = (*brokers)(nil)

// newBrokers takes the addresses of the management APIs, which have been checked.
func newBrokers(management []string) *brokers {
	b := &brokers{management: map[string]*url.URL{}, urls: management, client: &http.Client{Timeout: askTimeout}}
	for _, m := range management {
		if u, err := url.Parse(m); err == nil {
			b.management[u.Hostname()] = u
		}
	}
	return b
}

// Kill implements system.Brokers.
func (b *brokers) Kill(ctx context.Context, names ...string) error {
	return each(names, func(name string) error { return b.tell(ctx, name, order{Do: "kill"}) })
}

// Start implements system.Brokers.
func (b *brokers) Start(ctx context.Context, _ bool, names ...string) error {
	return each(names, func(name string) error {
		if err := b.tell(ctx, name, order{Do: "start"}); err != nil {
			return err
		}
		return b.ready(ctx, name)
	})
}

// Restart implements system.Brokers.
func (b *brokers) Restart(ctx context.Context, name string, starve bool) error {
	start := order{Do: "start"}
	if starve {
		start.Env = []string{starving}
	}
	for _, o := range []order{{Do: "stop"}, start} {
		if err := b.tell(ctx, name, o); err != nil {
			return err
		}
	}
	return b.ready(ctx, name)
}

// Freeze implements system.Brokers.
func (b *brokers) Freeze(name string) error { return b.signal(name, "freeze") }

// Thaw implements system.Brokers.
func (b *brokers) Thaw(name string) error { return b.signal(name, "thaw") }

// Leader implements system.Brokers.
func (b *brokers) Leader(ctx context.Context, queue string) (string, error) {
	return system.Leader(ctx, b.client, b.urls, queue)
}

func (b *brokers) signal(name, what string) error {
	ctx, cancel := context.WithTimeout(context.Background(), signalTimeout)
	defer cancel()
	return b.tell(ctx, name, order{Do: what})
}

func each(names []string, f func(name string) error) (err error) {
	for _, n := range names {
		err = errors.Join(err, f(n))
	}
	return err
}

// tell gives an order to a node's agent.
func (b *brokers) tell(ctx context.Context, name string, o order) error {
	if b.management[name] == nil {
		return fmt.Errorf("no node %q among BROKER_URLS", name)
	}
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort(name, agentPort)+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	return b.do(req, http.StatusNoContent)
}

// ready waits until a node can serve clients.
func (b *brokers) ready(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.management[name].JoinPath("/api/health/checks/ready-to-serve-clients").String(), nil)
		if err != nil {
			return err
		}
		if err = b.do(req, http.StatusOK); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, err)
		case <-tick.C:
		}
	}
}

func (b *brokers) do(req *http.Request, want int) error {
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s: %s: %s", req.URL.Redacted(), resp.Status, bytes.TrimSpace(text))
	}
	return err
}
