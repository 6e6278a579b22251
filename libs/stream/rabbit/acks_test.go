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

// free is a channel that never keeps anybody waiting.
func free(writes int) *acked {
	ch := &acked{began: make(chan struct{}, writes), let: make(chan struct{}, writes)}
	for range writes {
		ch.let <- struct{}{}
	}
	return ch
}

// take adds the deliveries 1 to n, and returns them by their tags.
func take(a *acks, n int) []unsettled {
	places := make([]unsettled, n+1)
	for tag := 1; tag <= n; tag++ {
		a.add(&places[tag], uint64(tag))
	}
	return places
}

func TestAcksAreGathered(t *testing.T) {
	ch := &acked{began: make(chan struct{}), let: make(chan struct{})}
	a := newAcks(ch)
	tag := take(a, 9)
	a.ack(&tag[1])
	<-ch.began // 1 is being written, the others gather
	a.ack(&tag[3])
	a.ack(&tag[2])
	a.other(&tag[4]) // rejected, by itself
	a.ack(&tag[6])   // above the gap that 5 is
	a.ack(&tag[9])
	ch.let <- struct{}{}
	for range 3 {
		<-ch.began
		ch.let <- struct{}{}
	}
	a.ack(&tag[5]) // closes the gap: 6 was acknowledged, and a broker knows it no more
	<-ch.began
	a.other(&tag[7])
	a.other(&tag[8]) // 9 was acknowledged, nothing is owed
	ch.let <- struct{}{}
	a.close()
	if want := []string{"1 true", "3 true", "6 false", "9 false", "5 true"}; !slices.Equal(ch.all, want) {
		t.Errorf("written %v, want %v", ch.all, want)
	}
}

// What waits above a gap goes with the rest when the gap closes first.
func TestAGapThatCloses(t *testing.T) {
	ch := &acked{began: make(chan struct{}), let: make(chan struct{})}
	a := newAcks(ch)
	tag := take(a, 5)
	a.ack(&tag[1])
	<-ch.began
	a.ack(&tag[3])
	a.ack(&tag[4])
	a.other(&tag[2])
	ch.let <- struct{}{}
	<-ch.began
	ch.let <- struct{}{}
	a.close()
	if want := []string{"1 true", "4 true"}; !slices.Equal(ch.all, want) {
		t.Errorf("written %v, want %v", ch.all, want)
	}
}

// A delivery that is never settled must not make us remember all that come after it.
func TestSettledDeliveriesAreForgotten(t *testing.T) {
	const n = 1000
	ch := free(n)
	a := newAcks(ch)
	tag := take(a, n)
	for i := 2; i <= n; i++ {
		a.ack(&tag[i])
	}
	a.close()
	if a.open.after != &tag[1] || a.open.before != &tag[1] || len(a.single) != 0 {
		t.Errorf("more than delivery 1 is remembered: %d tags, the last %d", len(a.single), a.open.before.tag)
	}
	if len(ch.all) != n-1 {
		t.Errorf("%d of %d acknowledged", len(ch.all), n-1)
	}
}

// What is left is written before the end.
func TestAcksAreWrittenAtTheEnd(t *testing.T) {
	ch := free(9)
	a := newAcks(ch)
	tag := take(a, 3)
	for i := 1; i <= 3; i++ {
		a.ack(&tag[i])
	}
	a.close()
	if n := len(ch.all); n == 0 || ch.all[n-1] != "3 true" {
		t.Errorf("written %v", ch.all)
	}
}
