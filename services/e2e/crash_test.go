package e2e

import (
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
