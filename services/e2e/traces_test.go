package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/tracestore"
	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

const (
	tracePatience = 30 * time.Second // for the last batches of spans
	tracesMax     = 1000
)

type tracesAnswer struct {
	Data []tracestore.Trace `json:"data"`
}

// checkTraces: every order has one whole trace, and no cancellation has a span that lost its parent.
func checkTraces(t *testing.T, r run, orders []order) {
	t.Helper()
	spans := 0
	for _, o := range orders {
		eventually(t, tracePatience, func() error {
			var a tracesAnswer
			if _, err := call(t.Context(), http.MethodGet, r.TracesURL()+"/api/traces/"+o.TraceID, nil, &a); err != nil {
				return err
			}
			if len(a.Data) != 1 {
				return fmt.Errorf("order %s has %d traces", o.ID, len(a.Data))
			}
			if err := whole(a.Data[0], o.Status); err != nil {
				return fmt.Errorf("%s order %s, trace %s: %w", o.Status, o.ID, o.TraceID, err)
			}
			spans += len(a.Data[0].Spans)
			return nil
		})
	}
	cancelled := 0
	eventually(t, tracePatience, func() error {
		var a tracesAnswer
		query := url.Values{"service": {system.Order}, "operation": {"POST /orders/{id}/cancel"}, "limit": {fmt.Sprint(tracesMax)}}
		if _, err := call(t.Context(), http.MethodGet, r.TracesURL()+"/api/traces?"+query.Encode(), nil, &a); err != nil {
			return err
		}
		for _, trace := range a.Data {
			if err := sound(trace); err != nil {
				return fmt.Errorf("cancellation, trace %s: %w", trace.TraceID, err)
			}
		}
		if cancelled = len(a.Data); cancelled == 0 {
			return errors.New("no cancellation has a trace")
		}
		return nil
	})
	t.Logf("%d traces of orders are whole, with %d spans; %d traces of cancellations have no orphan", len(orders), spans, cancelled)
}

// sound says that every span but one has its parent in the trace, of the right kind.
func sound(trace tracestore.Trace) error {
	byID := map[string]tracestore.Span{}
	for _, s := range trace.Spans {
		byID[s.SpanID] = s
	}
	roots := 0
	for _, s := range trace.Spans {
		kind := s.Tag("span.kind")
		if s.ParentID() == "" {
			roots++
			continue
		}
		parent, ok := byID[s.ParentID()]
		if !ok {
			return fmt.Errorf("%s of %s is an orphan", s.OperationName, service(trace, s))
		}
		operation, destination, _ := strings.Cut(s.OperationName, " ")
		switch operation {
		case "publish":
			if kind != "producer" || parent.Tag("span.kind") == "producer" {
				return fmt.Errorf("%s is a %v under %s", s.OperationName, kind, parent.OperationName)
			}
		case "process":
			published := strings.TrimPrefix(parent.OperationName, "publish ")
			if kind != "consumer" || !strings.HasPrefix(destination, published+".") {
				return fmt.Errorf("%s is a %v under %s", s.OperationName, kind, parent.OperationName)
			}
		}
	}
	if roots != 1 {
		return fmt.Errorf("%d roots", roots)
	}
	return nil
}

// whole says that a trace is sound, begins with the request, and that everything published in it was processed by all who listen.
func whole(trace tracestore.Trace, status string) error {
	if err := sound(trace); err != nil {
		return err
	}
	var services, published, processed []string
	for _, s := range trace.Spans {
		services = append(services, service(trace, s))
		operation, destination, _ := strings.Cut(s.OperationName, " ")
		switch {
		case s.ParentID() == "" && (s.OperationName != "POST /orders" || s.Tag("span.kind") != "server"):
			return errors.New("it begins with " + s.OperationName)
		case operation == "publish":
			published = append(published, destination)
		case operation == "process":
			processed = append(processed, destination)
		}
	}
	for _, destination := range published {
		for _, group := range saga.Subscribers(destination) {
			if !slices.Contains(processed, destination+"."+group) {
				return fmt.Errorf("%s has not processed %s", group, destination)
			}
		}
	}
	expected := []string{system.Order, system.Payment, system.Product}
	must := []string{events.OrderPlaced{}.Destination()}
	if status == "delivered" {
		expected = append(expected, system.Shipment)
		must = append(must, events.PaymentAuthorized{}.Destination(), events.StockReserved{}.Destination(), events.ShipmentDispatched{}.Destination(), events.ShipmentDelivered{}.Destination())
	}
	for _, name := range expected {
		if !slices.Contains(services, name) {
			return fmt.Errorf("%s is not in it", name)
		}
	}
	for _, destination := range must {
		if !slices.Contains(published, destination) {
			return fmt.Errorf("%s is not published in it", destination)
		}
	}
	return nil
}

func service(trace tracestore.Trace, s tracestore.Span) string {
	return trace.Processes[s.ProcessID].ServiceName
}
