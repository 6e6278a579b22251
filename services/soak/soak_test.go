package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/services/internal/failure"
)

func TestASeedRepeatsTheOrder(t *testing.T) {
	kinds := func(seed uint64) (out []failure.Kind) {
		for _, s := range order(rand.New(rand.NewPCG(seed, 0))) {
			out = append(out, s.Kind)
		}
		return out
	}
	a := kinds(1)
	if !slices.Equal(a, kinds(1)) || slices.Equal(a, kinds(2)) {
		t.Errorf("%v, then %v; another seed: %v", a, kinds(1), kinds(2))
	}
	if len(a) != len(failure.Catalogue())-len(leftOut) || slices.Contains(a, failure.SchemaChange) {
		t.Errorf("%d failures: %v", len(a), a)
	}
}

func TestMemory(t *testing.T) {
	m := &memory{names: []string{"order"}, of: map[string]*figures{"order": {}}}
	for _, now := range []int64{10e6, 30e6, 0, 20e6} {
		m.of["order"].add(now)
	}
	var b strings.Builder
	m.write(&b)
	if !strings.Contains(b.String(), "order            10.0     20.0     30.0") {
		t.Error(b.String())
	}
}
