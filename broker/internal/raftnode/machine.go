// Package raftnode hosts many replicated groups on one node: each a Raft group (a
// step function without goroutine) or a group that lives on this node alone, driven
// by a fixed set of workers over one shared write-ahead log. It knows its state
// machines only as an interface.
package raftnode

import (
	"io"
	"time"
)

// Machine is what a group drives. All calls come from the group's worker, one at a
// time. A machine never blocks.
type Machine interface {
	// Apply applies the entry at index. data stays valid and must not be changed.
	Apply(index uint64, data []byte)
	// Handle takes an event that was posted to the group.
	Handle(event any)
	// Flush ends a turn in which something was applied, handled or changed: the
	// machine proposes and sends what it has gathered.
	Flush()
	// Lead says who leads the group now.
	Lead(Role)
	// Capture takes the state as of now, for this node's disk or, if whole, for another
	// member.
	Capture(whole bool) Capture
	// Restore replaces the state by a payload that Capture's Save or Send returned.
	Restore(payload []byte) error
}

// Capture is a machine's state as it was at one moment. Save or Send is called once,
// possibly later and in another goroutine.
type Capture interface {
	// Save writes down what the payload refers to. The payload is stored with the group.
	Save() (payload []byte, err error)
	// Saved says, in the group's worker, that the payload is durable, or that it was not
	// needed any more.
	Saved()
	// Send writes to w what the payload refers to. The payload follows it.
	Send(w io.Writer) (payload []byte, err error)
	// Progress says how far Send is, in any unit; it may be called while Send runs.
	Progress() (done, of int64)
}

// Encoded is the capture of a machine whose whole state is in the payload.
type Encoded func() []byte

// Save implements Capture.
func (e Encoded) Save() ([]byte, error) { return e(), nil }

// Saved implements Capture.
func (e Encoded) Saved() {}

// Send implements Capture.
func (e Encoded) Send(io.Writer) ([]byte, error) { return e(), nil }

// Progress implements Capture.
func (e Encoded) Progress() (done, of int64) { return 0, 0 }

// Role is who leads a group, as far as this member knows.
type Role struct {
	Leader uint64 // replica id; 0: nobody known
	Self   bool   // this member leads
	Term   uint64
}

// Sender carries messages to other replicas. It never blocks: what can't be sent is
// dropped, Raft repeats it.
type Sender interface {
	// SendRaft carries a message, given in parts, which nobody changes any more.
	SendRaft(to, group uint64, message [][]byte)
	// SendSnapshot carries a message with a snapshot apart from the others, and before it
	// what write writes, which may be large; write returns the message. The receiver
	// passes it to StepSnapshot. sent is called once with the outcome.
	SendSnapshot(to, group uint64, write func(w io.Writer) (message []byte, err error), sent func(ok bool))
}

// Timing of Raft's own timers, the backstop behind the node's failure detector.
const (
	tickInterval   = 100 * time.Millisecond
	heartbeatTicks = 2
	electionTicks  = 10
)

// Limits of a group.
const (
	messageBytesMax     = 1 << 20
	inflightMessagesMax = 256
	inflightBytesMax    = 16 << 20
	uncommittedBytesMax = 64 << 20
	applyingBytesMax    = 64 << 20
	// entries kept in memory behind what is applied, for followers that lag a little
	retainedBytes        = 1 << 20
	retainedEntries      = 1024
	retainedBytesLagging = 16 << 20 // while a live follower lags
)
