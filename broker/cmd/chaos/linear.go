package main

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Two models are checked against the history. Both look at a part of it that is small
// enough to be decided and must be legal if the whole is:
//
//   - each message by itself: it is put in, taken as fresh at most once, taken again any
//     number of times, settled for good by an acknowledgement; and when the queue is found
//     empty, a confirmed message must have been settled;
//   - each subscription's fresh messages: a FIFO queue, in which the order of takings is
//     known. A segment of it is the history of those messages alone, which is that of a
//     FIFO queue too. Segments overlap by half.
const (
	segmentMessages = 512
	checkTimeout    = time.Minute
	forever         = math.MaxInt64
)

// verdict is what a check found.
type verdict struct {
	checked int // partitions
	illegal []string
	unknown int // out of time
}

func (v *verdict) add(r porcupine.CheckResult, what func() string) {
	switch r {
	case porcupine.Illegal:
		v.illegal = append(v.illegal, what())
	case porcupine.Unknown:
		v.unknown++
	case porcupine.Ok:
	}
}

// step of a message's life.
type step int

const (
	stepPut   step = iota
	stepTake       // as fresh
	stepAgain      // redelivered
	stepAck
	stepEmpty // the queue is found empty
)

// life is a message's state.
type life struct {
	put, fresh, again, settled bool
}

var lifeModel = porcupine.Model{
	Init: func() any { return life{} },
	Step: func(state, input, _ any) (bool, any) {
		s := state.(life) //nolint:errcheck,forcetypeassert // it is what Init and Step return
		switch input.(step) {
		case stepPut:
			ok := !s.put
			s.put = true
			return ok, s
		case stepTake:
			ok := s.put && !s.fresh && !s.again && !s.settled
			s.fresh = true
			return ok, s
		case stepAgain:
			ok := s.put && !s.settled
			s.again = true
			return ok, s
		case stepAck:
			ok := s.fresh || s.again
			s.settled = true
			return ok, s
		case stepEmpty:
			return !s.put || s.settled, s
		}
		return false, s
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
}

// checkLives checks each message by itself. empty is when the queues were found empty;
// 0 if they were not.
func (l *ledger) checkLives(empty moment) (v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := make([]map[uint64][]porcupine.Operation, len(l.messages))
	for p := range events {
		events[p] = map[uint64][]porcupine.Operation{}
	}
	for _, t := range l.takers {
		for _, k := range t.took {
			s := stepTake
			if k.redelivered {
				s = stepAgain
			}
			// Pushed at some time after it was published; it may have been on its way for long.
			call := int64(l.messages[k.publisher][k.seq].published)
			ops := append(events[k.publisher][k.seq], porcupine.Operation{Input: s, Call: call, Return: int64(k.at)})
			if k.acked > 0 {
				ops = append(ops, porcupine.Operation{Input: stepAck, Call: int64(k.acked), Return: forever})
			}
			events[k.publisher][k.seq] = ops
		}
	}
	for p, ms := range l.messages {
		for i := range ms {
			m := &ms[i]
			if m.confirmed == 0 && m.fresh+m.again == 0 {
				continue // it never was in the queue
			}
			ops := append(events[p][uint64(i)], porcupine.Operation{Input: stepPut, Call: int64(m.published), Return: returnOf(m)})
			if empty > 0 {
				ops = append(ops, porcupine.Operation{Input: stepEmpty, Call: int64(empty), Return: int64(empty) + 1})
			}
			v.checked++
			v.add(porcupine.CheckOperationsTimeout(lifeModel, ops, checkTimeout), func() string {
				return fmt.Sprintf("message %d of publisher %d in %s: %s", i, p+1, queueName(m.queue), describe(ops))
			})
		}
	}
	return v
}

func returnOf(m *message) int64 {
	if m.confirmed == 0 {
		return forever
	}
	return int64(m.confirmed)
}

func describe(ops []porcupine.Operation) string {
	names := []string{"put", "take", "take again", "ack", "found empty"}
	s := ""
	for _, o := range ops {
		to := "?"
		if o.Return != forever {
			to = time.Duration(o.Return).String()
		}
		s += fmt.Sprintf(" %s[%s, %s]", names[o.Input.(step)], time.Duration(o.Call), to) //nolint:errcheck,forcetypeassert // put in above
	}
	return s
}

// fifoOp puts or takes the message that was taken as number rank.
type fifoOp struct {
	take bool
	rank int
}

// fifo is a queue's state: what is in it are the ranks from taken up to put.
type fifo struct{ put, taken int }

// fifoModel knows beforehand in which order messages will be taken, so they must be put
// in in that order.
var fifoModel = porcupine.Model{
	Init: func() any { return fifo{} },
	Step: func(state, input, _ any) (bool, any) {
		s, op := state.(fifo), input.(fifoOp) //nolint:errcheck,forcetypeassert // they are what checkOrder makes
		if op.take {
			ok := op.rank == s.taken && s.taken < s.put
			s.taken++
			return ok, s
		}
		ok := op.rank == s.put
		s.put++
		return ok, s
	},
}

// checkOrder checks each subscription's fresh messages.
func (l *ledger) checkOrder() (v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.takers {
		var fresh []taking
		for _, k := range t.took {
			if !k.redelivered {
				fresh = append(fresh, k)
			}
		}
		for from := 0; from < len(fresh); from += segmentMessages / 2 {
			part := fresh[from:min(from+segmentMessages, len(fresh))]
			v.checked++
			v.add(porcupine.CheckOperationsTimeout(fifoModel, l.segment(part), checkTimeout), func() string {
				return fmt.Sprintf("%s: the order of %d messages taken between %s and %s", queueName(t.queue), len(part),
					time.Duration(part[0].at), time.Duration(part[len(part)-1].at))
			})
			if from+segmentMessages >= len(fresh) {
				break
			}
		}
	}
	return v
}

// segment is the history of some messages of one subscription. That a taking may have
// happened before it was seen does not matter: later takings only leave more in the queue.
func (l *ledger) segment(part []taking) (ops []porcupine.Operation) {
	const client = 0 // the model needs none
	for rank, k := range part {
		m := &l.messages[k.publisher][k.seq]
		// Twice, and one moment apart, as takings of one channel follow each other.
		at := int64(k.at)*2 + 1
		put := int64(m.confirmed) * 2
		if m.confirmed == 0 {
			put = forever
		}
		ops = append(ops,
			porcupine.Operation{ClientId: client, Input: fifoOp{rank: rank}, Call: int64(m.published) * 2, Return: put},
			porcupine.Operation{ClientId: client, Input: fifoOp{take: true, rank: rank}, Call: at, Return: at},
		)
	}
	return ops
}
