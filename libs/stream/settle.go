package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// finishOne performs the outcome of a delivery that is one message.
func (r *Receiver) finishOne(d Delivered, out Outcome) {
	began := time.Now()
	r.report(d.Message, out, began, r.perform(d.Settler, d.Message, out))
}

// finish performs the outcomes of a delivery's messages. When they differ, the failed ones are published on their own and the
// delivery is acknowledged; where that cannot be, it is settled as its worst part.
func (r *Receiver) finish(d Delivered, ms []Raw, outs []Outcome) {
	if len(ms) == 1 {
		d.Message.Delivery = ms[0].Delivery
		r.finishOne(d, outs[0])
		return
	}
	began := time.Now()
	final := Outcome{Action: ActionAccept}
	for i, out := range outs {
		if out.Action == ActionAccept {
			continue
		}
		if err := r.publish(d.Settler, ms[i], out); err != nil {
			final = Outcome{Action: r.fallback(out, err), Err: errors.Join(out.Err, err)}
			if final.Action == ActionRequeue {
				break
			}
		}
	}
	err := settle(d.Settler, final.Action)
	for i, out := range outs {
		r.report(ms[i], out, began, err)
	}
}

// perform does what out says. The error means that the message will come again.
func (r *Receiver) perform(s Settler, m Raw, out Outcome) error {
	action := out.Action
	if action == ActionDeadLetter || action == ActionRetry {
		err := r.publish(s, m, out)
		action = ActionAccept
		if err != nil {
			action = r.fallback(out, err)
		}
	}
	return settle(s, action)
}

// publish puts a failed message where it waits or is kept, confirmed by the broker. What cannot wait is kept.
func (r *Receiver) publish(s Settler, m Raw, out Outcome) error {
	if out.Action == ActionRetry {
		err := s.Retry(m, out.Wait, out.Pause)
		if err == nil {
			return nil
		}
		r.log.ErrorContext(r.contextOf(out), "retry queue does not take it, dead-lettering", "binding", r.binding.Name, "message_id", m.ID, "error", err)
		out = Outcome{Action: ActionDeadLetter, Err: errors.Join(out.Err, err), Context: out.Context}
	}
	if out.Action != ActionDeadLetter || !r.binding.Consumer.RepublishToDLQ.Or(true) {
		return ErrNoDeadLetters
	}
	err := s.DeadLetter(m, out.Err)
	if err != nil && !errors.Is(err, ErrNoDeadLetters) {
		r.log.ErrorContext(r.contextOf(out), "dead letter not confirmed", "binding", r.binding.Name, "message_id", m.ID, "error", err)
	}
	return err
}

// fallback says how to settle a message that could not be published where out wants it.
func (r *Receiver) fallback(out Outcome, err error) Action {
	switch {
	case out.Action == ActionRequeue:
		return ActionRequeue
	case r.binding.Consumer.requeues() && errors.Is(err, ErrNoDeadLetters) && !isMarked(out.Err) && !errors.Is(out.Err, ErrUndecodable):
		return ActionRequeue
	case r.binding.Consumer.AutoBindDLQ && errors.Is(err, ErrReturned):
		// The dead-letter queue cannot be reached; the broker would find it no more than we did and drop the message.
		return ActionRequeue
	}
	// The broker then dead-letters the original itself: without the reason, but it is not lost.
	return ActionReject
}

func settle(s Settler, a Action) error {
	switch a {
	case ActionAccept:
		return s.Ack()
	case ActionRequeue:
		return s.Requeue()
	}
	return s.Reject()
}

// contextOf is the context of the handling, for its trace: it may have ended.
func (r *Receiver) contextOf(out Outcome) context.Context {
	if out.Context != nil {
		return out.Context
	}
	return r.handling
}

func (r *Receiver) report(m Raw, out Outcome, began time.Time, err error) {
	if err != nil {
		r.log.WarnContext(r.contextOf(out), "settle failed, the message will come again", "binding", r.binding.Name, "message_id", m.ID, "error", err)
	}
	if r.settled != nil {
		r.settled(r.contextOf(out), r.system, r.binding, m, out, began, err)
	}
}

// manual holds the deliveries that handlers have not settled yet.
type manual struct {
	mu   sync.Mutex
	open map[*settlement]struct{}
}

// settlement is one delivery that its handler settles.
type settlement struct {
	settler Settler
	owner   *manual
	done    atomic.Bool
}

func (m *manual) add(s Settler) *settlement {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		m.open = map[*settlement]struct{}{}
	}
	x := &settlement{settler: s, owner: m}
	m.open[x] = struct{}{}
	return x
}

// requeueAll gives back what nobody settled.
func (m *manual) requeueAll() {
	m.mu.Lock()
	left := make([]*settlement, 0, len(m.open))
	for x := range m.open {
		left = append(left, x)
	}
	m.mu.Unlock()
	for _, x := range left {
		if x.claim() {
			_ = x.settler.Requeue()
		}
	}
}

// claim makes the caller the one who settles; false when somebody else was.
func (x *settlement) claim() bool {
	if !x.done.CompareAndSwap(false, true) {
		return false
	}
	x.owner.mu.Lock()
	defer x.owner.mu.Unlock()
	delete(x.owner.open, x)
	return true
}

// Errors of settling by hand.
var (
	ErrNotManual = errors.New("stream: the binding does not settle by hand, see AckManual")
	ErrSettled   = errors.New("stream: the message is settled already")
)

// Ack settles the message. With AckManual only; once.
func (d Delivery) Ack() error { return d.byHand(Settler.Ack) }

// Requeue gives the message back to its queue. With AckManual only; once.
func (d Delivery) Requeue() error { return d.byHand(Settler.Requeue) }

// Reject has the broker dead-letter the message, or drop it. With AckManual only; once.
func (d Delivery) Reject() error { return d.byHand(Settler.Reject) }

func (d Delivery) byHand(f func(Settler) error) error {
	if d.settle == nil {
		return ErrNotManual
	}
	if !d.settle.claim() {
		return ErrSettled
	}
	if err := f(d.settle.settler); err != nil {
		return fmt.Errorf("stream: settle: %w", err)
	}
	return nil
}
