package e2e

import (
	"fmt"
	"testing"

	"github.com/warren-mq/warren/services/demo/system"
)

const crashOrderCount = 80

// TestOrdersSurviveTheServices: payment, product and shipment are killed one after the other while they work, and started again.
// What they had in hand comes again, and happens once.
func TestOrdersSurviveTheServices(t *testing.T) {
	r := start(t)
	half := make(chan struct{})
	crashed := make(chan struct{})
	go func() { // ends with half, which place closes
		defer close(crashed)
		<-half
		for _, name := range []string{system.Payment, system.Product, system.Shipment} {
			if err := r.Kill(t.Context(), name); err != nil {
				t.Error(err)
			}
			if err := r.Start(t.Context(), false, name); err != nil {
				t.Error(err)
			}
		}
	}()
	orders := r.place(t, crashOrderCount, half)
	<-crashed
	eventually(t, endPatience, r.ended(orders, crashOrderCount))
	b := openBooks(t, r)
	eventually(t, endPatience, func() error {
		if err := b.sent(); err != nil {
			return err
		}
		return r.drained()
	})
	t.Logf("%d orders: %v", crashOrderCount, countEnds(orders))
	b.check(orders)
}

// TestAnOrderExpires: payment is down for longer than an order may take. The order ends without it, and payment, when it is back,
// finds that there is nothing to take.
func TestAnOrderExpires(t *testing.T) {
	r := start(t, "ORDER_EXPIRY=2s")
	if err := r.Kill(t.Context(), system.Payment); err != nil {
		t.Fatal(err)
	}
	orders := make([]order, 1)
	if err := r.placeOne(t.Context(), 0, &orders[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, endPatience, func() error {
		if err := r.refresh(orders); err != nil || orders[0].Status != "expired" {
			return fmt.Errorf("the order is %s: %w", orders[0].Status, err)
		}
		return nil
	})
	if err := r.Start(t.Context(), false, system.Payment); err != nil {
		t.Fatal(err)
	}
	b := openBooks(t, r)
	eventually(t, endPatience, func() error {
		if err := b.sent(); err != nil {
			return err
		}
		return r.drained()
	})
	b.check(orders)
}
