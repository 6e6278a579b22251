package node

import (
	"slices"
	"testing"

	"github.com/warren-mq/warren/broker/internal/queue"
)

// A node that says anew what its consumers hold has not heard yet which of what it gave
// back was carried out. Found by simulation: two messages stayed with a consumer that had
// returned them.
func TestWhatIsGivenBackIsNotHeld(t *testing.T) {
	a := attached{
		Held:     []queue.Range{{From: 1, To: 9}},
		Settling: []settling{{10, []queue.Range{{From: 2, To: 3}}}, {12, []queue.Range{{From: 5, To: 5}, {From: 9, To: 9}}}},
	}
	for applied, want := range map[uint64][]queue.Range{
		9:  {{From: 1, To: 9}},
		10: {{From: 1, To: 1}, {From: 4, To: 9}},
		11: {{From: 1, To: 1}, {From: 4, To: 9}},
		12: {{From: 1, To: 1}, {From: 4, To: 4}, {From: 6, To: 8}},
	} {
		if got := a.heldAt(applied); !slices.Equal(got, want) {
			t.Errorf("lane applied to %d: holds %v, want %v", applied, got, want)
		}
	}
}
