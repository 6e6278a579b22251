package management

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/node"
)

// The cluster view: what all nodes said a moment ago. Making it costs something, so it is
// kept for viewRest times as long as it took, at most viewAgeMax: in a small cluster it is
// always fresh, and in a large one tools can't slow the broker however often they ask.
const (
	viewRest    = 20
	viewAgeMax  = 5 * time.Second
	viewTimeout = 5 * time.Second
)

// cached is a part of the view. Who asks while it is being made waits for it.
type cached[T any] struct {
	mu    sync.Mutex
	value T
	until time.Time
	age   uint64        // grows with each forget
	made  chan struct{} // closed when the one under way is done; nil: none is
}

// get returns the value, made anew if it is too old.
func (c *cached[T]) get(ctx context.Context, build func(context.Context) T) T {
	for {
		c.mu.Lock()
		if time.Now().Before(c.until) {
			defer c.mu.Unlock()
			return c.value
		}
		if wait := c.made; wait != nil {
			c.mu.Unlock()
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.value // old, and nobody reads it
			}
		}
		return c.renew(ctx, build)
	}
}

// forget makes the next get make it anew.
func (c *cached[T]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
	c.age++
}

// renew makes the value. The caller holds mu.
func (c *cached[T]) renew(ctx context.Context, build func(context.Context) T) T {
	done := make(chan struct{})
	c.made = done
	age := c.age
	c.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), viewTimeout) // others wait for it, too
	defer cancel()
	v := build(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.value, c.made = v, nil
	if c.age == age { // else somebody changed something meanwhile
		c.until = now.Add(min(viewRest*now.Sub(began), viewAgeMax))
	}
	close(done)
	return v
}

// view is what all nodes said.
type view struct {
	mu sync.Mutex
	of *node.Node // who was asked

	queues      cached[node.Listing[node.QueueStatus]]
	histories   cached[node.Listing[node.QueueStatus]] // with samples
	connections cached[node.Listing[node.ConnectionStatus]]
	exchanges   cached[map[[2]string]node.ExchangeCounts]
	totals      cached[totals]
	machines    cached[machines]
}

// forget makes who changed something see it.
func (v *view) forget() {
	v.queues.forget()
	v.histories.forget()
	v.connections.forget()
	v.exchanges.forget()
	v.totals.forget()
	v.machines.forget()
}

// clusterView returns the view. It begins anew when the node has joined another cluster.
func (h *handler) clusterView() *view {
	h.view.mu.Lock()
	defer h.view.mu.Unlock()
	if n := h.b.Node(); n != h.view.of {
		h.view.of = n
		h.view.forget()
	}
	return &h.view
}

type totals struct {
	nodes   map[string]node.NodeTotals
	missing []string
}

type machines struct {
	nodes   map[string]node.MachineStatus
	missing []string
}

// partial tells the client whose word is missing in the answer.
func partial(w http.ResponseWriter, missing []string) {
	if len(missing) > 0 {
		w.Header().Set("X-Warren-Missing", strings.Join(missing, ", "))
	}
}

func (h *handler) allQueues(w http.ResponseWriter, r *request, history bool) []node.QueueStatus {
	v := h.clusterView()
	part := &v.queues
	if history {
		part = &v.histories
	}
	l := part.get(r.Context(), func(ctx context.Context) node.Listing[node.QueueStatus] { return h.b.Node().ListQueues(ctx, history) })
	partial(w, l.Missing)
	return l.Items
}

func (h *handler) allConnections(w http.ResponseWriter, r *request) []node.ConnectionStatus {
	l := h.clusterView().connections.get(r.Context(), h.b.Node().ListConnections)
	partial(w, l.Missing)
	return l.Items
}

func (h *handler) exchangeCounts(r *request) map[[2]string]node.ExchangeCounts {
	return h.clusterView().exchanges.get(r.Context(), func(ctx context.Context) map[[2]string]node.ExchangeCounts {
		of := map[[2]string]node.ExchangeCounts{}
		for _, x := range h.b.Node().ListExchanges(ctx).Items {
			of[[2]string{x.VHost, x.Name}] = x
		}
		return of
	})
}

func (h *handler) allTotals(ctx context.Context) totals {
	return h.clusterView().totals.get(ctx, func(ctx context.Context) (t totals) {
		t.nodes, t.missing = h.b.Node().ListTotals(ctx, true)
		return t
	})
}

func (h *handler) allMachines(ctx context.Context) machines {
	return h.clusterView().machines.get(ctx, func(ctx context.Context) (m machines) {
		m.nodes, m.missing = h.b.Node().ListMachines(ctx)
		return m
	})
}
