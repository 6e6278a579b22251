package main

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestPlanFollowsSeed(t *testing.T) {
	list := func(seed uint64) (out []fault) {
		p := newPlan(seed, kinds, time.Second)
		for range 200 {
			out = append(out, p.next())
		}
		return out
	}
	a := list(1)
	if !reflect.DeepEqual(a, list(1)) {
		t.Error("the same seed made other faults")
	}
	if reflect.DeepEqual(a, list(2)) {
		t.Error("another seed made the same faults")
	}
	for _, k := range kinds {
		if !slices.ContainsFunc(a, func(f fault) bool { return f.kind == k }) {
			t.Errorf("no %s among %d faults", k, len(a))
		}
	}
	for _, f := range a {
		if f.lasts > faultMax || f.before > time.Second || f.other == f.node || len(f.order) != nodeCount {
			t.Errorf("fault out of bounds: %+v", f)
		}
	}
}

func TestParseKinds(t *testing.T) {
	if got, err := parseKinds([]string{"kill", "cut"}); err != nil || !slices.Equal(got, []kind{killOne, cutBoth}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseKinds([]string{"all"}); err != nil || !slices.Equal(got, kinds) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseKinds([]string{"earthquake"}); err == nil {
		t.Error("took a fault that it can't make")
	}
}
