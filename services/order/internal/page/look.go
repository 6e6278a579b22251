package page

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/order/internal/order"
)

// snapshot is everything that the page shows but the news.
type snapshot struct {
	At       time.Time         `json:"at"`
	Services []service         `json:"services"`
	Brokers  []broker          `json:"brokers"`
	Queues   []queue           `json:"queues"`
	Products json.RawMessage   `json:"products,omitempty"`
	Failures []failure.List    `json:"failures"`
	Ledger   order.Ledger      `json:"ledger"`
	Load     loadState         `json:"load"`
	Flows    map[string]flow   `json:"flows"`
	Links    map[string]string `json:"links"`
}

type service struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

type broker struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	Alarm   bool   `json:"alarm"`
}

// queue is a queue that holds something.
type queue struct {
	Name     string `json:"name"`
	Leader   string `json:"leader"`
	Messages int    `json:"messages"`
}

// flow is the way of an event.
type flow struct {
	From string   `json:"from"`
	To   []string `json:"to"`
}

// flows are the ways of all events of the saga.
func flows() map[string]flow {
	out := map[string]flow{}
	for _, e := range events.All() {
		for _, m := range saga.Services() {
			if slices.Contains(m.Tells(), e.Type()) {
				out[e.Type()] = flow{From: m.Name, To: saga.Subscribers(e.Destination())}
			}
		}
	}
	return out
}

// look asks everybody at once.
func (p *Page) look(ctx context.Context) snapshot {
	s := snapshot{At: time.Now(), Flows: flows(), Failures: []failure.List{}, Links: map[string]string{"traces": p.cfg.Traces, "console": p.cfg.Console}}
	var mu sync.Mutex
	var asking sync.WaitGroup
	names := []string{events.GroupOrder, events.GroupPayment, events.GroupProduct, events.GroupShipment}
	s.Services = make([]service, len(names))
	for i, name := range names {
		s.Services[i] = service{Name: name, Ready: name == events.GroupOrder}
		if base := p.cfg.Peers[name]; base != "" {
			asking.Go(func() { s.Services[i].Ready = p.get(ctx, base+"/health/ready", nil) == nil })
		}
	}
	if p.cfg.Failures != nil {
		s.Failures = append(s.Failures, p.cfg.Failures.List())
		for _, base := range p.cfg.Peers {
			asking.Go(func() {
				var l failure.List
				if p.get(ctx, base+failure.Path, &l) == nil {
					mu.Lock()
					defer mu.Unlock()
					s.Failures = append(s.Failures, l)
				}
			})
		}
	}
	asking.Go(func() { s.Brokers, s.Queues = p.cluster(ctx) })
	asking.Go(func() {
		if base := p.cfg.Peers[events.GroupProduct]; base != "" {
			var page struct{ Items json.RawMessage }
			if p.get(ctx, base+"/products?limit=50", &page) == nil {
				s.Products = page.Items
			}
		}
	})
	asking.Go(func() {
		l, err := p.cfg.Orders.Ledger(ctx, false)
		if err != nil && ctx.Err() == nil {
			p.cfg.Log.WarnContext(ctx, "ledger", "error", err)
		}
		s.Ledger = l
	})
	asking.Wait()
	slices.SortFunc(s.Failures, func(a, b failure.List) int { return strings.Compare(a.At, b.At) })
	s.Load = p.load.state()
	return s
}

// cluster asks the first node that answers.
func (p *Page) cluster(ctx context.Context) (brokers []broker, queues []queue) {
	queues = []queue{}
	for _, base := range p.cfg.Brokers {
		var nodes []struct {
			Name    string
			Running bool
			Memory  bool `json:"mem_alarm"`
			Disk    bool `json:"disk_free_alarm"`
		}
		if p.get(ctx, base+"/api/nodes", &nodes) != nil {
			continue
		}
		for _, n := range nodes {
			brokers = append(brokers, broker{Name: n.Name, Running: n.Running, Alarm: n.Memory || n.Disk})
		}
		var all []queue
		if p.get(ctx, base+"/api/queues", &all) == nil {
			for _, q := range all {
				if q.Messages > 0 {
					queues = append(queues, q)
				}
			}
		}
		slices.SortFunc(brokers, func(a, b broker) int { return strings.Compare(a.Name, b.Name) })
		return brokers, queues
	}
	for i := range p.cfg.Brokers {
		brokers = append(brokers, broker{Name: fmt.Sprintf("broker-%d", i+1)})
	}
	return brokers, queues
}

// get asks for JSON. The address may hold user and password.
func (p *Page) get(ctx context.Context, url string, out any) error {
	return p.call(ctx, http.MethodGet, url, nil, out)
}

func (p *Page) call(ctx context.Context, method, url string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return statusError{resp.StatusCode, data}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// statusError is an answer that is no 200.
type statusError struct {
	status int
	body   []byte
}

func (e statusError) Error() string { return fmt.Sprintf("%d: %s", e.status, e.body) }
