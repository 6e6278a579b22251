package rabbit

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is a growing pause with jitter: half of it is random, so that many clients of a dead broker spread out.
type backoff struct{ min, max, next time.Duration }

func newBackoff(c Config) *backoff { return &backoff{min: c.ReconnectMin, max: c.ReconnectMax} }

func (b *backoff) reset() { b.next = 0 }

// pause sleeps; false when ctx ended.
func (b *backoff) pause(ctx context.Context) bool {
	b.next = min(max(b.next*2, b.min), b.max)
	t := time.NewTimer(b.next/2 + rand.N(b.next/2+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
