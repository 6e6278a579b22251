package main

import (
	"io"
	"testing"
)

func TestMajorityWell(t *testing.T) {
	b := &breaker{l: newLedger(1, 1, 1), out: io.Discard, wellSince: 1}
	one, other, all := fault{kind: killOne, node: 0}, fault{kind: freeze, node: 2}, fault{kind: powerAll, order: []int{2, 0, 1}}
	for i, x := range []struct {
		f    fault
		d    int
		well bool
	}{
		{one, 1, true}, {one, 1, true}, {other, 1, false}, {one, -1, false}, {one, -1, true},
		{all, 1, false}, {other, -1, false}, {all, -1, true},
	} {
		if b.meet(x.f, x.d); (b.wellSince > 0) != x.well {
			t.Errorf("step %d: well since %d, want well %t", i, b.wellSince, x.well)
		}
	}
}
