package stream

import (
	"context"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"
)

// handlerGrace is how long handlers may take to notice that their context ended.
const handlerGrace = 2 * time.Second

// Receiver is the App's end of a subscription: it has the binding's handlers, Concurrency of them, and decides what becomes of
// every delivery. Binders call Take; subscriptions of one binding may share it.
type Receiver struct {
	binding Binding
	one     Handler      // nil for a batch binding
	batch   BatchHandler // nil for any other
	settled func(context.Context, System, Binding, Raw, Outcome, time.Time, error)
	system  System
	log     *slog.Logger

	lanes    []chan Delivered // one that all workers share, or one for each when keys keep their order
	taking   context.Context  // ends when no new message shall be taken
	stop     context.CancelFunc
	handling context.Context // of the handlers
	abandon  context.CancelFunc
	ended    chan struct{} // closed when the workers shall go
	workers  sync.WaitGroup
	manual   manual
}

// Delivered is one delivery in the hands of a binder.
type Delivered struct {
	Message Raw
	Settler Settler
	// Gone, when closed, says that settling is pointless and the message will come again: its channel has died. Nil: never.
	Gone <-chan struct{}
}

func (d Delivered) gone() bool {
	select {
	case <-d.Gone:
		return true
	default:
		return false
	}
}

// NewReceiver starts the workers of b, whose properties must be complete. Exactly one of one and batch is set. It is for
// tests of binders; an App makes its own.
func NewReceiver(b Binding, one Handler, batch BatchHandler, log *slog.Logger) *Receiver {
	r := &Receiver{binding: b, one: one, batch: batch, log: log, ended: make(chan struct{})}
	r.taking, r.stop = context.WithCancel(context.Background())
	r.handling, r.abandon = context.WithCancel(context.Background())
	p := b.Consumer
	lanes, room := 1, 0
	if p.OrderKey != nil {
		// The broker pushes no more than this, so a busy key never keeps another from its worker.
		lanes, room = p.Concurrency, p.Prefetch*p.Concurrency
	}
	for range lanes {
		r.lanes = append(r.lanes, make(chan Delivered, room))
	}
	for i := range p.Concurrency {
		r.workers.Go(func() { r.work(r.lanes[i%lanes]) })
	}
	return r
}

// Take hands d over. It blocks until a handler is free; false means that the binding is stopping, or that quit or d.Gone was
// closed: then d was not taken and is the binder's to give back.
func (r *Receiver) Take(d Delivered, quit <-chan struct{}) bool {
	lane := r.lanes[0]
	if len(r.lanes) > 1 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(r.binding.Consumer.OrderKey(d.Message)))
		lane = r.lanes[h.Sum32()%uint32(len(r.lanes))]
	}
	select {
	case lane <- d:
		return true
	case <-d.Gone:
	case <-quit:
	case <-r.taking.Done():
	}
	return false
}

// Stopping is closed when no new message shall be taken.
func (r *Receiver) Stopping() <-chan struct{} { return r.taking.Done() }

// Close ends the workers, and waits for them if wait is true: every delivery is settled then, so none of them is busy.
func (r *Receiver) Close(wait bool) {
	r.stop()
	r.abandon()
	close(r.ended)
	if wait {
		r.workers.Wait()
	}
}

// work handles what comes until the Receiver is closed.
func (r *Receiver) work(lane <-chan Delivered) {
	for {
		select {
		case d := <-lane:
			switch {
			case d.gone(), len(r.lanes) > 1 && r.taking.Err() != nil:
				_ = d.Settler.Requeue() // it waited in the lane; another member may have it
			case r.batch != nil:
				r.handleBatch(r.collect(d, lane))
			default:
				r.handleOne(d)
			}
		case <-r.ended:
			return
		}
	}
}

// collect fills a batch that begins with first.
func (r *Receiver) collect(first Delivered, lane <-chan Delivered) []Delivered {
	ds := []Delivered{first}
	wait := time.NewTimer(r.binding.Consumer.ReceiveTimeout)
	defer wait.Stop()
	for len(ds) < r.binding.Consumer.BatchSize {
		select {
		case d := <-lane:
			ds = append(ds, d)
			wait.Reset(r.binding.Consumer.ReceiveTimeout)
		case <-wait.C:
			return ds
		case <-r.taking.Done():
			return ds
		}
	}
	return ds
}

// handleOne handles a delivery, which may hold several messages that its producer had packed into one.
func (r *Receiver) handleOne(d Delivered) {
	m, err := r.open(d.Message)
	var ms []Raw // when there are several
	if err == nil && packed(m) {
		ms, err = unpack(m)
	}
	if err != nil {
		r.finishOne(d, Outcome{Action: ActionDeadLetter, Err: err})
		return
	}
	if len(ms) == 1 {
		m = ms[0]
	}
	if len(ms) <= 1 {
		if r.binding.Consumer.Acknowledge == AckManual {
			m.Delivery.settle = r.manual.add(d.Settler)
		}
		out := r.one(r.handling, m)
		if out.Action == ActionManual {
			return
		}
		if m.Delivery.settle != nil && !m.Delivery.settle.claim() {
			return // settled by the handler before it failed
		}
		d.Message.Delivery = m.Delivery
		r.finishOne(d, out)
		return
	}
	outs := make([]Outcome, len(ms))
	for i, m := range ms {
		outs[i] = r.one(r.handling, m)
		if outs[i].Action == ActionRequeue {
			// The broker can only take all of them back.
			r.finishOne(d, outs[i])
			return
		}
	}
	r.finish(d, ms, outs)
}

// handleBatch handles several deliveries at once.
func (r *Receiver) handleBatch(ds []Delivered) {
	var ms []Raw
	first := make([]int, 0, len(ds)+1) // where the messages of each delivery begin
	kept := ds[:0]
	for _, d := range ds {
		m, err := r.open(d.Message)
		var part []Raw
		if err == nil {
			part, err = unpack(m)
		}
		if err != nil {
			r.finishOne(d, Outcome{Action: ActionDeadLetter, Err: err})
			continue
		}
		first = append(first, len(ms))
		kept = append(kept, d)
		ms = append(ms, part...)
	}
	if len(ms) == 0 {
		return
	}
	first = append(first, len(ms))
	outs := r.batch(r.handling, ms)
	for i, d := range kept {
		r.finish(d, ms[first[i]:first[i+1]], outs[first[i]:first[i+1]])
	}
}

// open takes off a delivery what its way put on: compression, headers that shall not come in.
func (r *Receiver) open(m Raw) (Raw, error) {
	m, err := decompress(m)
	if err != nil {
		return m, err
	}
	m.Headers = filterHeaders(m.Headers, r.binding.Consumer.HeaderPatterns)
	return m, nil
}

// Batches tells whether the binding's handler takes batches.
func (r *Receiver) Batches() bool { return r.batch != nil }
