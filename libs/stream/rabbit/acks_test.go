package rabbit

import (
	"fmt"
	"slices"
	"testing"
)

// acked is a channel that takes note. Each write waits until the test lets it go.
type acked struct {
	began, let chan struct{}
	all        []string
}

func (a *acked) Ack(tag uint64, multiple bool) error {
	a.began <- struct{}{}
	<-a.let
	a.all = append(a.all, fmt.Sprint(tag, multiple))
	return nil
}

func TestAcksAreGathered(t *testing.T) {
	ch := &acked{began: make(chan struct{}), let: make(chan struct{})}
	a := newAcks(ch)
	a.ack(1)
	<-ch.began // 1 is being written, the others gather
	a.ack(2)
	a.ack(3)
	a.other(4) // rejected, by itself
	a.ack(6)   // above the gap that 5 is
	a.ack(9)
	ch.let <- struct{}{}
	for range 3 {
		<-ch.began
		ch.let <- struct{}{}
	}
	a.ack(5) // closes the gap: 6 was acknowledged, and a broker knows it no more
	<-ch.began
	a.other(7)
	a.other(8) // 9 was acknowledged, nothing is owed
	ch.let <- struct{}{}
	a.close()
	slices.Sort(ch.all[2:4]) // the order of those above a gap does not matter
	if want := []string{"1 true", "3 true", "6 false", "9 false", "5 true"}; !slices.Equal(ch.all, want) {
		t.Errorf("written %v, want %v", ch.all, want)
	}
}

// What is left is written before the end.
func TestAcksAreWrittenAtTheEnd(t *testing.T) {
	ch := &acked{began: make(chan struct{}, 9), let: make(chan struct{}, 9)}
	for range cap(ch.let) {
		ch.let <- struct{}{}
	}
	a := newAcks(ch)
	for tag := uint64(1); tag <= 3; tag++ {
		a.ack(tag)
	}
	a.close()
	if n := len(ch.all); n == 0 || ch.all[n-1] != "3 true" {
		t.Errorf("written %v", ch.all)
	}
}
