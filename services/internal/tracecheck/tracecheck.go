// Package tracecheck says whether the trace of an order is unbroken.
package tracecheck

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/warren-mq/warren/libs/tracestore"
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Sound says that every span but one has its parent in the trace, of the right kind.
func Sound(trace tracestore.Trace) error {
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

// Whole says that the trace of an order is sound, begins with the request, and that everything published in it was processed by
// all who listen. A delivered order has been at all four services.
func Whole(trace tracestore.Trace, status string) error {
	if err := Sound(trace); err != nil {
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
	expected := []string{events.GroupOrder, events.GroupPayment, events.GroupProduct}
	must := []string{events.OrderPlaced{}.Destination()}
	if status == "delivered" {
		expected = append(expected, events.GroupShipment)
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

// service is who made a span.
func service(trace tracestore.Trace, s tracestore.Span) string {
	return trace.Processes[s.ProcessID].ServiceName
}
