package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"

	"github.com/warren-mq/warren/libs/tracestore"
	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/tracecheck"
)

// order starts the services, orders something, and follows it in the trace store and in the logs.
func order(ctx context.Context, s *stage) (string, error) {
	services := []string{system.TraceStore, system.Product, system.Payment, system.Shipment, system.Order}
	if err := s.Start(ctx, true, services...); err != nil {
		return "", err
	}
	placed, err := s.place(ctx)
	if err != nil {
		return "", err
	}
	if err := s.until(ctx, func(ctx context.Context) error {
		body, err := fetch(ctx, s.URL(system.Order)+"/orders/"+placed.ID)
		if err == nil {
			err = json.Unmarshal(body, &placed)
		}
		if err == nil && placed.Status != "delivered" {
			err = fmt.Errorf("the order is %s", placed.Status)
		}
		return err
	}); err != nil {
		return "", err
	}
	if err := s.until(ctx, func(ctx context.Context) error {
		var answer struct{ Data []tracestore.Trace }
		body, err := fetch(ctx, s.TracesURL()+"/api/traces/"+placed.TraceID)
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		if err == nil && len(answer.Data) != 1 {
			err = fmt.Errorf("%d traces", len(answer.Data))
		}
		if err == nil {
			err = tracecheck.Whole(answer.Data[0], placed.Status)
		}
		return err
	}); err != nil {
		return "", err
	}
	logged := 0
	for _, name := range services[1:] {
		text, err := os.ReadFile(s.LogFile(name))
		if err != nil {
			return "", err
		}
		if regexp.MustCompile(`\[` + name + `,` + placed.TraceID + `,[0-9a-f]{16},true\]`).Match(text) {
			logged++
		}
	}
	return fmt.Sprintf("%s; one trace, parents right; in the log lines of %d services", placed.Status, logged), nil
}

// placed is an order.
type placed struct {
	ID, Status string
	TraceID    string `json:"trace_id"`
}

// place orders one piece.
func (s *stage) place(ctx context.Context) (o placed, err error) {
	body := `{"customer_id":"c-1","currency":"EUR","items":[{"sku":"SKU-001","quantity":1}]}`
	err = s.until(ctx, func(ctx context.Context) error {
		// The catalogue comes as messages: until they are there, the product is not known.
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL(system.Order)+"/orders", bytes.NewReader([]byte(body)))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusCreated {
			return fmt.Errorf("an order gets %s", resp.Status)
		}
		return json.NewDecoder(resp.Body).Decode(&o)
	})
	return o, err
}
