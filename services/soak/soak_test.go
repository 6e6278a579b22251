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
	m := newMemory([]string{"order", "product"})
	for _, now := range []int64{10e6, 30e6, 0, 25e6, 20e6} {
		m.look(func(name string) int64 { return now / int64(len(name)) * 5 })
	}
	var b strings.Builder
	m.write(&b)
	for _, want := range []string{
		"order            10.0     30.0     30.0     25.0     20.0     30.0\n",
		"all              17.1     51.4     51.4     42.9     34.3     51.4\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
