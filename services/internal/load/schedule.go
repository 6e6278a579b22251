// Package load places orders at intended times, whether the system keeps up or not, and keeps account of each: how long it took
// from the intended time on, and what became of it.
package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Shape says how arrivals are spread.
type Shape string

// The shapes.
const (
	Constant Shape = "constant" // evenly
	Poisson  Shape = "poisson"  // independently of each other: gaps are exponentially distributed
)

// RateMax is the highest rate, in orders a second.
const RateMax = 10_000

// Step is a rate, in orders a second, that holds for a time.
type Step struct {
	Rate float64
	Time time.Duration
}

// ParseSteps reads RATExTIME,…, such as 10x10s,50x30s.
func ParseSteps(text string) ([]Step, error) {
	var out []Step
	for part := range strings.SplitSeq(text, ",") {
		rate, long, ok := strings.Cut(strings.TrimSpace(part), "x")
		r, err := strconv.ParseFloat(rate, 64)
		if ok && err == nil {
			var d time.Duration
			if d, err = time.ParseDuration(long); err == nil {
				out = append(out, Step{r, d})
				continue
			}
		}
		return nil, fmt.Errorf("step %q: want RATExTIME, like 50x30s", part)
	}
	return out, nil
}

// Schedule gives the intended times of arrivals.
type Schedule struct {
	shape Shape
	steps []Step
	rand  *rand.Rand

	step int
	into time.Duration // of the step
	base time.Duration // when the step began
}

// NewSchedule returns a schedule of steps, one after the other. The seed fixes a Poisson one.
func NewSchedule(shape Shape, seed uint64, steps ...Step) (*Schedule, error) {
	if shape != Constant && shape != Poisson {
		return nil, fmt.Errorf("shape %q: want %s or %s", shape, Constant, Poisson)
	}
	if len(steps) == 0 {
		return nil, errors.New("there are no steps")
	}
	for _, s := range steps {
		if !(s.Rate > 0 && s.Rate <= RateMax) || s.Time <= 0 {
			return nil, fmt.Errorf("rate %g for %s: want a rate above 0, at most %d orders a second, for a time above 0", s.Rate, s.Time, RateMax)
		}
	}
	return &Schedule{shape: shape, steps: steps, rand: rand.New(rand.NewPCG(seed, seed))}, nil
}

// Total is how long the schedule lasts.
func (s *Schedule) Total() (d time.Duration) {
	for _, x := range s.steps {
		d += x.Time
	}
	return d
}

// Next returns when, after the start, the next order is to be placed; false when there is none any more.
func (s *Schedule) Next() (time.Duration, bool) {
	for s.step < len(s.steps) {
		step := s.steps[s.step]
		gap := float64(time.Second) / step.Rate
		if s.shape == Poisson {
			gap *= s.rand.ExpFloat64()
		}
		if at := s.into + time.Duration(gap); at <= step.Time {
			s.into = at
			return s.base + at, true
		}
		// What is left of a gap is forgotten at the border: of a Poisson process that changes nothing.
		s.base, s.into = s.base+step.Time, 0
		s.step++
	}
	return 0, false
}
