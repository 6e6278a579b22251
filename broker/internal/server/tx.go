package server

import (
	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

// tx is a channel's transaction: publishes and settles that wait for the commit. They
// are carried out together, not atomically: a node that dies in a commit may have done a
// part of it, as with any broker of this protocol.
type tx struct {
	publishes []txPublish
	settles   []txSettle
	// A commit waits until all its publishes are confirmed.
	committing bool
	open       int
	failed     bool
}

type txPublish struct {
	p         *node.Publication
	mandatory bool
}

type txSettle struct {
	d   held
	how node.Outcome
}

// errNoTx refuses a commit or rollback without tx.select.
var errNoTx = fault.New(fault.PreconditionFailed, "channel is not transactional")

func (s *session) txSelect(ch *channel) error {
	if ch.confirms != nil {
		return fault.New(fault.PreconditionFailed, "cannot switch from confirm to tx mode")
	}
	if ch.tx == nil {
		ch.tx = new(tx)
		ch.state.Transactional.Store(true)
	}
	s.send(ch.number, &amqp.TxSelectOK{})
	return nil
}

// txCommit sends what the transaction holds; commit-ok follows once the queues have it.
func (s *session) txCommit(ch *channel) error {
	t := ch.tx
	if t == nil {
		return errNoTx
	}
	publishes, settles := t.publishes, t.settles
	t.publishes, t.settles, t.committing = nil, nil, true
	for i := range publishes {
		p := &publishes[i]
		// Any number but 0 asks for a confirm; only how many are open matters.
		switch {
		case s.link.Send(ch.number, ch.confirmNumber(uint64(i+1)), p.p):
			t.open++
		case p.mandatory:
			s.returnMessage(ch, p.p.Message)
		default:
			ch.state.Add(node.StatDrop, 1)
		}
	}
	for _, x := range settles {
		s.settleLater(ch, x.d.c, x.d.seq, x.how)
	}
	return s.txCommitted(ch)
}

// txConfirmed takes the node's word on one publish of a commit.
func (s *session) txConfirmed(ch *channel, nack bool) error {
	ch.tx.open--
	ch.tx.failed = ch.tx.failed || nack
	return s.txCommitted(ch)
}

// txCommitted answers the commit when nothing is open any more.
func (s *session) txCommitted(ch *channel) error {
	t := ch.tx
	if t.open > 0 {
		return nil
	}
	failed := t.failed
	*t = tx{}
	if failed {
		return fault.New(fault.PreconditionFailed, "partial tx completion")
	}
	s.send(ch.number, &amqp.TxCommitOK{})
	return nil
}

// txRollback forgets the publishes; what was settled is unacked again.
func (s *session) txRollback(ch *channel) error {
	t := ch.tx
	if t == nil {
		return errNoTx
	}
	back := make([]held, 0, len(t.settles))
	for _, x := range t.settles {
		back = append(back, x.d)
	}
	ch.unacked.putBack(back)
	*t = tx{}
	s.send(ch.number, &amqp.TxRollbackOK{})
	return nil
}
