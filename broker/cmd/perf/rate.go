package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rateStep is a rate and how long it holds.
type rateStep struct {
	rate  float64 // messages a second; 0: none
	lasts time.Duration
}

// parseRates reads steps of the form RATE:SECONDS, PerfTest's.
func parseRates(texts []string) (steps []rateStep, err error) {
	most := 0.0
	for _, t := range texts {
		r, s, ok := strings.Cut(t, ":")
		rate, err1 := strconv.ParseFloat(r, 64)
		seconds, err2 := strconv.ParseFloat(s, 64)
		if !ok || errors.Join(err1, err2) != nil || !(rate >= 0 && rate <= rateMax) || !(seconds > 0 && seconds <= stepSecondsMax) {
			return nil, fmt.Errorf("variable rate %q is not RATE:SECONDS", t)
		}
		most = max(most, rate)
		steps = append(steps, rateStep{rate, time.Duration(seconds * float64(time.Second))})
	}
	if len(steps) > 0 && most == 0 {
		return nil, errors.New("all variable rates are 0: nothing would ever be published")
	}
	return steps, nil
}

const (
	rateMax        = 1e9
	stepSecondsMax = 1e6
)

// pacer says when each message is due. Steps follow each other, over and over.
type pacer struct {
	steps  []rateStep
	at     time.Duration // of the next message, since the beginning
	step   int
	passed time.Duration // end of the steps before this one
}

// newPacer paces at one rate; nil for none.
func newPacer(rate float64, steps []rateStep) *pacer {
	if len(steps) == 0 {
		if rate == 0 {
			return nil
		}
		steps = []rateStep{{rate, stepSecondsMax * time.Second}}
	}
	return &pacer{steps: steps}
}

// due returns when the next message may go, and goes on to the one after it.
func (p *pacer) due() time.Duration {
	for {
		s := p.steps[p.step]
		end := p.passed + s.lasts
		if s.rate > 0 && p.at < end {
			due := p.at
			p.at += time.Duration(float64(time.Second) / s.rate)
			return due
		}
		p.step, p.passed, p.at = (p.step+1)%len(p.steps), end, end
	}
}
