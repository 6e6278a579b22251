package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
	"github.com/warren-mq/warren/services/demo/system"
)

// direct connects a consumer to a node, and kills that.
func direct(ctx context.Context, s *stage) (string, error) {
	conn, err := dial(s.NodeURL(node5673))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }() // it has gone
	ch, err := conn.Channel()
	if err != nil {
		return "", err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, mirrored, "", true, false, false, false, nil)
	if err != nil {
		return "", err
	}
	if err := s.Kill(ctx, system.BrokerName(node5673)); err != nil {
		return "", err
	}
	select {
	case _, ok := <-deliveries:
		if ok {
			return "", errors.New("a message from nowhere")
		}
	case <-ctx.Done():
		return "connection goes on", nil
	}
	if again, err := dial(s.NodeURL(node5673)); err == nil {
		return "connects again", again.Close()
	}
	return "connection failed", nil
}

// audience is the consumer behind the proxy, by the name of its connections.
const audience = "audience"

// throughProxy has a consumer of the binder behind the proxy, and kills the node that it is connected to.
func throughProxy(ctx context.Context, s *stage) (string, error) {
	if err := empty(s.NodeURL(1), mirrored); err != nil {
		return "", err
	}
	log := slog.New(slog.DiscardHandler)
	binder, err := rabbit.New(rabbit.Config{Addresses: []string{s.AMQPURL()}, ConnectionName: audience, Logger: log})
	if err != nil {
		return "", err
	}
	var mu sync.Mutex
	heard := map[string]bool{}
	all := make(chan struct{})
	app := stream.New(binder, stream.WithLogger(log))
	stream.Consume(app, stream.Binding{
		Name: "talk-in-0", Destination: "talk", Group: mirrored, Consumer: stream.ConsumerProperties{
			Queue: stream.QueueProperties{QueueNameGroupOnly: true, BindQueue: stream.Off},
		},
	}, func(_ context.Context, m stream.Message[[]byte]) error {
		mu.Lock()
		defer mu.Unlock()
		if heard[m.ID] = true; len(heard) == 2*bodies {
			select {
			case <-all:
			default:
				close(all)
			}
		}
		return nil
	})
	if err := app.Start(ctx); err != nil {
		return "", err
	}
	defer func() { _ = app.Stop(context.WithoutCancel(ctx)) }() // what it heard is what counts
	if err := app.WaitReady(ctx); err != nil {
		return "", err
	}
	if err := publish(ctx, s.NodeURL(1), mirrored, 0); err != nil {
		return "", err
	}
	var node string
	if err := s.until(ctx, func(ctx context.Context) (err error) {
		node, err = s.connectedTo(ctx, audience+"-consume")
		return err
	}); err != nil {
		return "", err
	}
	if err := s.Kill(ctx, node); err != nil {
		return "", err
	}
	if err := s.until(ctx, func(ctx context.Context) error { return publish(ctx, s.NodeURL(other(number(node))), mirrored, bodies) }); err != nil {
		return "", err
	}
	select {
	case <-all:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	return fmt.Sprintf("reconnects by itself; gets %d of %d", len(heard), 2*bodies), nil
}

// connectedTo is the node that a client is connected to.
func (s *stage) connectedTo(ctx context.Context, client string) (string, error) {
	var conns []struct {
		Node string
		Name string `json:"user_provided_name"`
	}
	body, err := fetch(ctx, s.ManagementURL(1)+"/api/connections")
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(body, &conns); err != nil {
		return "", err
	}
	for _, c := range conns {
		if c.Name == client {
			return s.NodeName(c.Node), nil
		}
	}
	return "", errors.New("no connection is called " + client)
}

const answerMax = 8 << 20 // bytes

// fetch gets a page as the user that there is.
func fetch(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return body, err
}

// statistics reads the proxy's page while a node goes and comes back.
func statistics(ctx context.Context, s *stage) (string, error) {
	var seen []string
	down := system.BrokerName(node5673)
	for _, step := range []struct {
		act  func() error
		want string
	}{
		{func() error { return nil }, "UP UP UP"},
		{func() error { return s.Stop(ctx, down) }, "UP DOWN UP"},
		{func() error { return s.Start(ctx, false, down) }, "UP UP UP"},
	} {
		if err := step.act(); err != nil {
			return "", err
		}
		var states string
		if err := s.until(ctx, func(ctx context.Context) (err error) {
			states, err = s.states(ctx)
			if err == nil && states != step.want {
				err = errors.New("the page shows " + states)
			}
			return err
		}); err != nil {
			return "", err
		}
		seen = append(seen, states)
	}
	return strings.Join(seen, "; "), nil
}

// states are those of the three nodes on the proxy's page.
func (s *stage) states(ctx context.Context) (string, error) {
	page, err := fetch(ctx, s.StatisticsURL()+"/;csv")
	if err != nil {
		return "", err
	}
	rows, err := csv.NewReader(strings.NewReader(string(page))).ReadAll()
	if err != nil {
		return "", err
	}
	const nameColumn, stateColumn = 1, 17
	var out []string
	for n := 1; n <= system.Nodes; n++ {
		for _, row := range rows {
			if row[nameColumn] == system.BrokerName(n) {
				// HAProxy adds how many checks are missing to the other state: UP 1/3.
				state, _, _ := strings.Cut(row[stateColumn], " ")
				out = append(out, state)
			}
		}
	}
	return strings.Join(out, " "), nil
}
