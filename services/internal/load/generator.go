package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Bounds of what is measured: latencies from a microsecond to ten minutes, to three digits.
const (
	latencyMax    = 10 * time.Minute
	latencyDigits = 3
	// InFlightMax bounds the orders that wait for their answer. Who cannot be sent for that waits, and its time runs.
	InFlightMax = 2_000
)

// Clock is the time.
type Clock interface {
	Now() time.Time
	// Wait returns when it is t, or ctx ends.
	Wait(ctx context.Context, t time.Time) error
}

// Wall is the machine's clock.
type Wall struct{}

// Now implements Clock.
func (Wall) Now() time.Time { return time.Now() }

// Wait implements Clock.
func (Wall) Wait(ctx context.Context, t time.Time) error {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Generator places orders by a schedule.
type Generator struct {
	Schedule *Schedule
	Clock    Clock
	// Place places the i-th order. It is called from many goroutines.
	Place func(ctx context.Context, i int) error
	// Second is called with what happened in each second, from one goroutine; may be nil.
	Second func(Second)

	mu       sync.Mutex
	all, now *hdrhistogram.Histogram
	sum      counts
	began    counts // at the begin of the second
}

type counts struct{ sent, answered, failed int64 }

// Second is what happened in one.
type Second struct {
	At       float64       `json:"at"` // its end, seconds since the start
	Sent     int64         `json:"sent"`
	Answered int64         `json:"answered"`
	Failed   int64         `json:"failed"`
	Waiting  int64         `json:"waiting"` // for an answer, at its end
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
}

func histogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMax.Microseconds(), latencyDigits)
}

// Run places all orders and waits for their answers, or until ctx ends. A latency counts from the time that was intended: an order
// that was sent late because others were slow has waited, and its customer with it.
func (g *Generator) Run(ctx context.Context) *Result {
	g.all, g.now = histogram(), histogram()
	start := g.Clock.Now()
	reporting, stop := context.WithCancel(ctx)
	var reporter, orders sync.WaitGroup
	seconds := []Second{}
	reporter.Go(func() {
		for n := 1; g.Clock.Wait(reporting, start.Add(time.Duration(n)*time.Second)) == nil; n++ {
			s := g.second(float64(n))
			seconds = append(seconds, s)
			if g.Second != nil {
				g.Second(s)
			}
		}
	})
	slots := make(chan struct{}, InFlightMax)
	for i := 0; ; i++ {
		after, more := g.Schedule.Next()
		intended := start.Add(after)
		if !more || g.Clock.Wait(ctx, intended) != nil {
			break
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		g.count(func(c *counts) { c.sent++ })
		orders.Go(func() {
			defer func() { <-slots }()
			err := g.Place(ctx, i)
			g.record(g.Clock.Now().Sub(intended), err)
		})
	}
	orders.Wait()
	took := g.Clock.Now().Sub(start)
	stop()
	reporter.Wait()
	return g.result(took, seconds)
}

func (g *Generator) count(f func(*counts)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.sum)
}

// record takes one answer's latency. A failure's counts, too: somebody has waited for it.
func (g *Generator) record(d time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	us := min(max(d.Microseconds(), 1), latencyMax.Microseconds())
	_ = g.all.RecordValue(us) // it is within the bounds
	_ = g.now.RecordValue(us)
	if err != nil {
		g.sum.failed++
	} else {
		g.sum.answered++
	}
}

// second ends a second.
func (g *Generator) second(at float64) Second {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Second{
		At: at, Sent: g.sum.sent - g.began.sent, Answered: g.sum.answered - g.began.answered, Failed: g.sum.failed - g.began.failed,
		Waiting: g.sum.sent - g.sum.answered - g.sum.failed, P50: micros(g.now.ValueAtQuantile(50)), P99: micros(g.now.ValueAtQuantile(99)),
	}
	g.began = g.sum
	g.now.Reset()
	return s
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// String is the line of progress.
func (s Second) String() string {
	return fmt.Sprintf("%6.0fs  sent %d  answered %d  failed %d  waiting %d  p50/p99 %.1f/%.1f ms", s.At, s.Sent, s.Answered, s.Failed, s.Waiting, milliseconds(s.P50), milliseconds(s.P99))
}
