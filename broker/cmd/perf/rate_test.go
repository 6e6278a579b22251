package main

import (
	"slices"
	"testing"
	"time"
)

func TestPacer(t *testing.T) {
	ms := func(list ...int) (out []time.Duration) {
		for _, m := range list {
			out = append(out, time.Duration(m)*time.Millisecond)
		}
		return out
	}
	for _, x := range []struct {
		name  string
		rate  float64
		steps []string
		want  []time.Duration
	}{
		{"one rate", 4, nil, ms(0, 250, 500, 750, 1000)},
		{"two that take turns", 9, []string{"2:1", "4:0.5"}, ms(0, 500, 1000, 1250, 1500, 2000, 2500)},
		{"a pause", 0, []string{"0:2", "10:0.2"}, ms(2000, 2100, 4200, 4300, 6400)},
		{"slower than its step is long", 0, []string{"0.1:1", "2:1"}, ms(0, 1000, 1500, 2000, 3000)},
	} {
		t.Run(x.name, func(t *testing.T) {
			steps, err := parseRates(x.steps)
			if err != nil {
				t.Fatal(err)
			}
			p := newPacer(x.rate, steps)
			var got []time.Duration
			for range x.want {
				got = append(got, p.due())
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("due at %v, want %v", got, x.want)
			}
		})
	}
	if newPacer(0, nil) != nil {
		t.Error("no rate is paced")
	}
}

func TestParseRatesRefuses(t *testing.T) {
	for _, text := range []string{"", "5", "x:1", "5:x", "-1:1", "5:0", "5:-1", "NaN:1", "1:NaN", "0:5"} {
		if got, err := parseRates([]string{text}); err == nil {
			t.Errorf("%q became %v", text, got)
		}
	}
}
