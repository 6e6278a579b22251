package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/failure"
)

// trouble is a running system whose failures are switched on and off.
type trouble struct {
	run
	conductor *failure.Set
}

// with returns the same for a subtest.
func (x *trouble) with(t *testing.T) *trouble {
	y := *x
	y.t = t
	return &y
}

// on switches a failure on at processes, or at the usual one; it goes off at the end of the test at the latest.
func (x *trouble) on(k failure.Kind, value int64, at ...string) (off func()) {
	x.t.Helper()
	if len(at) == 0 {
		for _, s := range failure.Catalogue() {
			if s.Kind == k {
				at = s.At[:1]
			}
		}
	}
	for _, name := range at {
		if name == failure.Conductor {
			if err := x.conductor.TurnOn(k, value, time.Minute); err != nil {
				x.t.Fatal(err)
			}
			continue
		}
		url := x.URL(name) + failure.Path + "/" + string(k)
		if _, err := call(x.t.Context(), http.MethodPut, url, failure.Turn{Value: value, Seconds: 60}, nil); err != nil {
			x.t.Fatal(err)
		}
	}
	off = func() {
		for _, name := range at {
			if name == failure.Conductor {
				x.conductor.TurnOff(k)
			} else {
				_, _ = call(context.Background(), http.MethodDelete, x.URL(name)+failure.Path+"/"+string(k), nil, nil) // it may be down
			}
		}
	}
	x.t.Cleanup(off)
	return off
}

// hits tells how often a failure has made a difference.
func (x *trouble) hits(k failure.Kind, at string) (n int64) {
	x.t.Helper()
	var l failure.List
	if at == failure.Conductor {
		l = x.conductor.List()
	} else if _, err := call(x.t.Context(), http.MethodGet, x.URL(at)+failure.Path, nil, &l); err != nil {
		x.t.Fatal(err)
	}
	for _, s := range l.Items {
		if s.Kind == k {
			n = s.Hits
		}
	}
	return n
}

// order places an order for one product.
func (x *trouble) order(sku string) order {
	x.t.Helper()
	var o order
	body := request{"c-1", "EUR", []item{{sku, 1}}}
	if _, err := call(x.t.Context(), http.MethodPost, x.URL(system.Order)+"/orders", body, &o, "Idempotency-Key", x.t.Name()); err != nil {
		x.t.Fatal(err)
	}
	return o
}

// becomes waits until an order has a status.
func (x *trouble) becomes(o order, status string) {
	x.t.Helper()
	eventually(x.t, time.Minute, func() error {
		var now struct{ Status, Reason string }
		if _, err := call(x.t.Context(), http.MethodGet, x.URL(system.Order)+"/orders/"+o.ID, nil, &now); err != nil || now.Status != status {
			return fmt.Errorf("the order is %s (%s), not %s: %w", now.Status, now.Reason, status, err)
		}
		return nil
	})
}

// messages tells how many are in a queue.
func (x *trouble) messages(queue string) int {
	all, err := x.queues()
	if err != nil {
		return 0
	}
	for _, q := range all {
		if q.Name == queue {
			return q.Messages
		}
	}
	return 0
}

func (x *trouble) fills(queue string) {
	x.t.Helper()
	eventually(x.t, time.Minute, func() error {
		if x.messages(queue) == 0 {
			return errors.New(queue + " is empty")
		}
		return nil
	})
}

// streamctl looks after dead letters.
func (x *trouble) streamctl(args ...string) string {
	x.t.Helper()
	cmd := exec.CommandContext(x.t.Context(), filepath.Join(bin, "streamctl"), args...)
	cmd.Env = []string{"STREAMCTL_URL=" + x.AMQPURL(), "STREAMCTL_HTTP=" + strings.Replace(x.ManagementURL(1), "//", "//guest:guest@", 1)}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		x.t.Fatalf("streamctl %v: %v: %s %s", args, err, out, stderr.Bytes())
	}
	return string(out)
}

// dies waits for a process to end and starts it again.
func (x *trouble) dies(name string) {
	x.t.Helper()
	eventually(x.t, time.Minute, func() error {
		if x.PID(name) != 0 {
			return errors.New(name + " is alive")
		}
		return nil
	})
	if err := x.Start(x.t.Context(), false, name); err != nil {
		x.t.Fatal(err)
	}
}

// TestFailures switches on one failure after the other: each can be seen, and when it is over every order has come to its end and
// the books are right.
func TestFailures(t *testing.T) {
	r := start(t, "CONSUMER_ATTEMPTS=2", "PAYMENT_PATIENCE=2s")
	x := &trouble{run: r, conductor: failure.New(failure.Conductor)}
	c := system.Conductor{System: r.System, Failures: x.conductor, Log: slog.New(slog.DiscardHandler)}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() { // before the system goes down
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, f := range []struct {
		kind failure.Kind
		test func(*trouble)
	}{
		{failure.LostTrace, lostTrace}, {failure.Duplicates, duplicates}, {failure.Poison, poison}, {failure.GatewayDown, gatewayDown},
		{failure.StockConflict, stockConflict}, {failure.LeaderKilled, leaderKilled}, {failure.Partition, partition},
		{failure.RollingRestart, rollingRestart}, {failure.SlowConsumer, slowConsumer}, {failure.ConsumerDies, consumerDies},
		{failure.RelayDies, relayDies}, {failure.IdleCut, idleCut}, {failure.SchemaChange, schemaChange}, {failure.Alarm, alarm},
		{failure.ClockSkew, clockSkew}, {failure.Reconnects, reconnects},
	} {
		if !t.Run(string(f.kind), func(t *testing.T) { f.test(x.with(t)) }) {
			t.FailNow() // the next one would begin in what this one has left
		}
	}
	var page struct{ Items []order }
	if _, err := call(t.Context(), http.MethodGet, r.URL(system.Order)+"/orders?limit=200", nil, &page); err != nil {
		t.Fatal(err)
	}
	eventually(t, endPatience, r.ended(page.Items, len(page.Items)))
	b := openBooks(t, r)
	eventually(t, endPatience, func() error {
		if err := b.sent(); err != nil {
			return err
		}
		return r.drained()
	})
	t.Logf("%d orders: %v", len(page.Items), countEnds(page.Items))
	b.check(page.Items)
}

// services of an order's trace.
func (x *trouble) tracedServices(o order) []string {
	x.t.Helper()
	var a tracesAnswer
	if _, err := call(x.t.Context(), http.MethodGet, x.TracesURL()+"/api/traces/"+o.TraceID, nil, &a); err != nil {
		return nil
	}
	var out []string
	for _, trace := range a.Data {
		for _, s := range trace.Spans {
			if name := service(trace, s); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func lostTrace(x *trouble) {
	off := x.on(failure.LostTrace, 0)
	lost := x.order("SKU-001")
	x.becomes(lost, "delivered")
	off()
	whole := x.order2("SKU-001")
	x.becomes(whole, "delivered")
	eventually(x.t, tracePatience, func() error {
		if got := x.tracedServices(whole); !slices.Contains(got, system.Payment) || !slices.Contains(got, system.Shipment) {
			return fmt.Errorf("the trace of the next order has only %v", got)
		}
		return nil
	})
	if got := x.tracedServices(lost); slices.Contains(got, system.Payment) || !slices.Contains(got, system.Order) {
		x.t.Errorf("the trace is not lost: %v", got)
	}
}

// order2 places one more order in a test.
func (x *trouble) order2(sku string) order {
	x.t.Helper()
	var o order
	if _, err := call(x.t.Context(), http.MethodPost, x.URL(system.Order)+"/orders", request{"c-2", "EUR", []item{{sku, 1}}}, &o); err != nil {
		x.t.Fatal(err)
	}
	return o
}

func duplicates(x *trouble) {
	at := []string{system.Order, system.Payment, system.Product, system.Shipment}
	x.on(failure.Duplicates, 0, at...)
	x.becomes(x.order("SKU-001"), "delivered")
	for _, name := range at {
		if x.hits(failure.Duplicates, name) == 0 {
			x.t.Errorf("%s has published nothing twice", name)
		}
	}
}

func poison(x *trouble) {
	off := x.on(failure.Poison, 0)
	o := x.order("SKU-007")
	x.fills("order.placed.product.dlq")
	if out := x.streamctl("dlq", "show", "order.placed.product.dlq"); !strings.Contains(out, "how long is a ruler") {
		x.t.Errorf("the letter does not say why:\n%s", out)
	}
	off() // the mistake is repaired
	if out := x.streamctl("dlq", "replay", "order.placed.product.dlq"); !strings.Contains(out, "1 replayed") {
		x.t.Error(out)
	}
	x.becomes(o, "delivered")
}

func gatewayDown(x *trouble) {
	off := x.on(failure.GatewayDown, 0)
	o := x.order("SKU-005")
	x.becomes(o, "rejected")
	if n := x.hits(failure.GatewayDown, system.Payment); n < 3 {
		x.t.Errorf("the gateway was asked %d times", n)
	}
	off()
	x.ends(system.Payment, "/payments/"+o.ID, "voided")
	x.ends(system.Order, "/orders/"+o.ID, "rejected")
}

// ends waits until a service says that something has a status.
func (x *trouble) ends(service, path, status string) {
	x.t.Helper()
	eventually(x.t, time.Minute, func() error {
		var now struct{ Status string }
		if _, err := call(x.t.Context(), http.MethodGet, x.URL(service)+path, nil, &now); err != nil || now.Status != status {
			return fmt.Errorf("%s at %s is %s, not %s: %w", path, service, now.Status, status, err)
		}
		return nil
	})
}

func stockConflict(x *trouble) {
	x.on(failure.StockConflict, 0)
	o := x.order("SKU-009")
	x.becomes(o, "rejected")
	x.ends(system.Payment, "/payments/"+o.ID, "voided")
}

func leaderKilled(x *trouble) {
	off := x.on(failure.LeaderKilled, 0)
	first := x.order("SKU-001")
	eventually(x.t, time.Minute, func() error {
		if len(x.Running()) == len(x.All()) {
			return errors.New("nobody was killed")
		}
		return nil
	})
	x.becomes(x.order2("SKU-002"), "delivered")
	x.becomes(first, "delivered")
	off()
	x.allRun()
}

// allRun waits until every process is there.
func (x *trouble) allRun() {
	x.t.Helper()
	eventually(x.t, time.Minute, func() error {
		if n := len(x.Running()); n < len(x.All()) {
			return fmt.Errorf("%d of %d processes run", n, len(x.All()))
		}
		return nil
	})
	if err := x.Start(x.t.Context(), false, x.Cluster()...); err != nil {
		x.t.Fatal(err)
	}
}

func partition(x *trouble) {
	off := x.on(failure.Partition, 1)
	x.becomes(x.order("SKU-001"), "delivered") // a minority is cut off
	off()
	x.allRun()
	off = x.on(failure.Partition, 2)
	eventually(x.t, time.Minute, func() error {
		if x.hits(failure.Partition, failure.Conductor) < 2 {
			return errors.New("two nodes are not cut off yet")
		}
		return nil
	})
	o := x.order2("SKU-002") // taken: the outbox keeps what cannot be published
	x.ends(system.Order, "/orders/"+o.ID, "pending")
	off()
	x.becomes(o, "delivered")
	x.allRun()
}

func rollingRestart(x *trouble) {
	x.on(failure.RollingRestart, 0)
	var orders []order
	eventually(x.t, time.Minute, func() error {
		if n := x.hits(failure.RollingRestart, failure.Conductor); n < system.Nodes {
			if len(orders) < int(n)+1 {
				orders = append(orders, x.order2("SKU-001")) // one for each node
			}
			return fmt.Errorf("%d nodes are back", n)
		}
		return nil
	})
	for _, o := range orders {
		x.becomes(o, "delivered")
	}
}

func slowConsumer(x *trouble) {
	off := x.on(failure.SlowConsumer, 1000)
	orders := make([]order, 0, 5)
	for range cap(orders) {
		orders = append(orders, x.order2("SKU-001"))
	}
	x.fills("order.placed.product")
	off()
	for _, o := range orders {
		x.becomes(o, "delivered")
	}
}

func consumerDies(x *trouble) {
	x.on(failure.ConsumerDies, 0)
	o := x.order("SKU-001")
	x.dies(system.Product)
	x.becomes(o, "delivered")
}

func relayDies(x *trouble) {
	x.on(failure.RelayDies, 0)
	body, _ := json.Marshal(request{"c-1", "EUR", []item{{"SKU-001", 1}}})
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, x.URL(system.Order)+"/orders", bytes.NewReader(body))
	if err != nil {
		x.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", x.t.Name())
	if resp, err := client.Do(req); err == nil { // it may die before it answers
		_ = resp.Body.Close()
	}
	x.dies(system.Order)
	x.becomes(x.order("SKU-001"), "delivered") // the same request: the order is there already
}

func idleCut(x *trouble) {
	x.on(failure.IdleCut, 300)
	eventually(x.t, time.Minute, func() error {
		if x.hits(failure.IdleCut, system.Shipment) == 0 {
			return errors.New("nothing was idle")
		}
		return nil
	})
	x.becomes(x.order("SKU-001"), "delivered")
}

func schemaChange(x *trouble) {
	off := x.on(failure.SchemaChange, 0)
	o := x.order("SKU-001")
	off()
	for _, group := range []string{system.Payment, system.Product} {
		dlq := "order.placed." + group + ".dlq"
		x.fills(dlq)
		var l struct {
			ID      string
			Reason  string
			Payload json.RawMessage
		}
		if err := json.Unmarshal([]byte(x.streamctl("dlq", "show", "--json", dlq)), &l); err != nil || !strings.Contains(l.Reason, "order_id is missing") {
			x.t.Fatalf("the letter says %q: %v", l.Reason, err)
		}
		repaired := strings.Replace(string(l.Payload), `"orderId"`, `"order_id"`, 1)
		x.streamctl("dlq", "edit", dlq, "--id", l.ID, "--payload", repaired)
		x.streamctl("dlq", "replay", dlq)
	}
	x.becomes(o, "delivered")
}

func alarm(x *trouble) {
	off := x.on(failure.Alarm, 0)
	eventually(x.t, time.Minute, func() error {
		var nodes []struct {
			Name  string
			Alarm bool `json:"mem_alarm"`
		}
		if _, err := call(x.t.Context(), http.MethodGet, x.ManagementURL(1)+"/api/nodes", nil, &nodes); err != nil {
			return err
		}
		for _, n := range nodes {
			if n.Alarm {
				return nil
			}
		}
		return fmt.Errorf("no node has an alarm: %v", nodes)
	})
	o := x.order("SKU-001")
	x.ends(system.Order, "/orders/"+o.ID, "pending")
	off()
	x.becomes(o, "delivered")
	x.allRun()
}

func clockSkew(x *trouble) {
	if err := x.Stop(x.t.Context(), system.Shipment); err != nil { // so that the parcel cannot leave
		x.t.Fatal(err)
	}
	o := x.order("SKU-001")
	x.becomes(o, "confirmed")
	x.on(failure.ClockSkew, 0)
	x.fills("stock.expired.shipment")
	if err := x.Start(x.t.Context(), false, system.Shipment); err != nil {
		x.t.Fatal(err)
	}
	x.becomes(o, "expired")
}

func reconnects(x *trouble) {
	at := []string{system.Order, system.Payment, system.Product, system.Shipment}
	off := x.on(failure.Reconnects, 300, at...)
	o := x.order("SKU-001")
	for _, name := range at {
		eventually(x.t, time.Minute, func() error {
			if n := x.hits(failure.Reconnects, name); n < 3 {
				return fmt.Errorf("%s was cut off %d times", name, n)
			}
			return nil
		})
	}
	off()
	x.becomes(o, "delivered")
}
