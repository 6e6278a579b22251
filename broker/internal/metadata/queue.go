package metadata

import (
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
)

// QueueDeclare declares a queue. The proposer has chosen its place.
type QueueDeclare struct{ Queue Queue }

// QueueDelete deletes the queue with that id, if it is there.
type QueueDelete struct{ ID uint64 }

// QueueMoved says that a queue's messages are in its target group now.
type QueueMoved struct{ ID, Target uint64 }

// QueueType is where and how a queue keeps its messages.
type QueueType string

// The queue types.
const (
	Classic QueueType = "classic"
	Quorum  QueueType = "quorum"
)

// Type returns the queue's declared type.
func (q *Queue) Type() QueueType { return typeOf(q.Args.Table) }

func typeOf(args message.Table) QueueType {
	if v, ok := args.Get("x-queue-type"); ok && v == string(Quorum) {
		return Quorum
	}
	return Classic
}

// CheckQueue checks a declaration by itself.
func CheckQueue(vhost, name string, durable, exclusive, autoDelete bool, args message.Table) *fault.Error {
	what := "queue '" + name + "' in vhost '" + vhost + "'"
	if !validName(name) {
		return fault.New(fault.PreconditionFailed, "the name of %s is longer than %d bytes, or not UTF-8", what, nameBytesMax)
	}
	if f := checkArgs(what, args); f != nil {
		return f
	}
	if typeOf(args) == Quorum {
		switch {
		case !durable:
			return fault.New(fault.PreconditionFailed, "invalid property 'non-durable' for %s", what)
		case exclusive:
			return fault.New(fault.PreconditionFailed, "invalid property 'exclusive-owner' for %s", what)
		case autoDelete:
			return fault.New(fault.PreconditionFailed, "invalid property 'auto-delete' for %s", what)
		}
	}
	return nil
}

func (s *State) queueDeclare(d *QueueDeclare) (*Queue, *fault.Error) {
	q := d.Queue
	v, f := s.vhost(q.VHost)
	if f != nil {
		return nil, f
	}
	if old := v.Queues[q.Name]; old != nil {
		if f := old.Accessible(q.Owner); f != nil {
			return nil, f
		}
		return old, old.Equivalent(&q)
	}
	if q.Group != 0 && s.Groups[q.Group] == nil {
		return nil, fault.New(fault.Unavailable, "placement group %d is gone", q.Group)
	}
	if f := v.roomFor(&q); f != nil {
		return nil, f
	}
	q.ID = s.newID()
	v.Queues[q.Name] = &q
	s.index(&q)
	s.changed(Change{Kind: QueueSet, Queue: &q})
	return &q, nil
}

// Accessible checks that a connection may use the queue.
func (q *Queue) Accessible(who ConnID) *fault.Error {
	if !q.Exclusive() || q.Owner == who {
		return nil
	}
	return locked(q)
}

func locked(q *Queue) *fault.Error {
	return fault.New(fault.ResourceLocked, "cannot obtain exclusive access to locked queue '%s' in vhost '%s'. "+
		"It could be originally declared on another connection or the exclusive property value does not match "+
		"that of the original declaration.", q.Name, q.VHost)
}

// Equivalent checks a declaration against the queue that is there.
func (q *Queue) Equivalent(d *Queue) *fault.Error {
	what := "queue '" + q.Name + "' in vhost '" + q.VHost + "'"
	if q.Exclusive() != d.Exclusive() {
		return locked(q)
	}
	if q.Durable != d.Durable {
		return inequivalent("durable", what, d.Durable, q.Durable)
	}
	if q.AutoDelete != d.AutoDelete {
		return inequivalent("auto_delete", what, d.AutoDelete, q.AutoDelete)
	}
	received := d.Args.Table
	if v, ok := received.Get("x-queue-type"); !ok || v == nil {
		received = received.Set("x-queue-type", string(Classic)) // what none means
	}
	current := q.Args.Table.Set("x-queue-type", string(q.Type()))
	for i := range queueArgs {
		if r := &queueArgs[i]; r.takes(q.Type()) {
			if f := argEquivalent(r.name, what, received, current); f != nil {
				return f
			}
		}
	}
	return nil
}

func (s *State) queueDelete(d *QueueDelete) {
	if q := s.queues[d.ID]; q != nil {
		s.dropQueue(q)
	}
}

func (s *State) dropQueue(q *Queue) {
	v := s.VHosts[q.VHost]
	delete(v.Queues, q.Name)
	delete(s.queues, q.ID)
	s.held[q.Group]--
	s.unbindAll(v, q.ID, func(b *Binding) bool { return !b.ToExchange && b.Destination == q.Name })
	s.changed(Change{Kind: QueueGone, Queue: q})
}

func (s *State) queueMoved(m *QueueMoved) {
	q := s.queues[m.ID]
	if q == nil || m.Target == 0 || q.Target != m.Target {
		return
	}
	moved := *q
	moved.Group, moved.Node, moved.Target = q.Target, "", 0
	s.replace(&moved)
	s.changed(Change{Kind: QueueSet, Queue: &moved, Was: q})
}

// replace puts a changed copy in a queue's place: readers may still hold the old one.
func (s *State) replace(q *Queue) {
	s.VHosts[q.VHost].Queues[q.Name] = q
	s.index(q)
}
