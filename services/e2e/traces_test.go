package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/tracestore"
	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/tracecheck"
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
			if err := tracecheck.Whole(a.Data[0], o.Status); err != nil {
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
			if err := tracecheck.Sound(trace); err != nil {
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
