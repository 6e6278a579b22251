// Package task is what the simulated world and the programs in it say to each other.
package task

import "time"

// Ports of a node.
const (
	PortAMQP = ":5672"
	PortPeer = ":25672"
	PortHTTP = ":15672"
)

// Task is what a process is started with: one of the fields.
type Task struct {
	Node    *Node    `json:",omitempty"`
	Clients *Clients `json:",omitempty"`
	Audit   *Audit   `json:",omitempty"`
}

// Node is a broker's.
type Node struct {
	Name  string
	Addr  string // of its machine, without port
	Peers []string

	GroupsPerNode int
	SegmentBytes  int64
	MemtableBytes int64
}

// Clients publish and consume until the machine is stopped.
type Clients struct {
	Name   string
	Nodes  []string // addresses, without port
	Queues []Queue
	// PublishUntil is when publishers have had enough, FinishAt when each sends one more
	// message, until that is confirmed; from the machine's start.
	PublishUntil time.Duration
	FinishAt     time.Duration
	Pause        time.Duration // between two messages of a publisher, at most twice that
	BodyBytes    int           // the largest body
}

// Queue is one to declare and use.
type Queue struct {
	Name       string
	Replicated bool
}

// Audit looks at all nodes once.
type Audit struct {
	Nodes []string
}

// Kind says what a record tells.
type Kind string

// The kinds of records. Sent comes before the message is given to the client library, Taken
// after the library has delivered it, the others before the library is told.
const (
	Sent      Kind = "sent"
	Confirmed Kind = "confirmed"
	Refused   Kind = "refused" // nacked, or returned
	Taken     Kind = "taken"
	Acked     Kind = "acked"    // taken out for good
	Returned  Kind = "returned" // requeued
	Lost      Kind = "lost"     // the consumer's connection is gone, with all that it held
	Done      Kind = "done"     // a publisher's last message is confirmed
	Silent    Kind = "silent"   // a publisher gives its connection up: nothing it published was answered
	Listed    Kind = "listed"   // an auditor's view of one node
)

// Record is what a client tells.
type Record struct {
	Kind        Kind
	Queue       string `json:",omitempty"`
	Publisher   string `json:",omitempty"` // of the message, or the node that was audited
	Number      int    `json:",omitempty"` // of the publisher, from 1
	Consumer    string `json:",omitempty"`
	Redelivered bool   `json:",omitempty"`
	View        string `json:",omitempty"` // Listed: what must be the same on all nodes
	Ready       int    `json:",omitempty"` // Listed: messages of all queues
	Unacked     int    `json:",omitempty"`
	Error       string `json:",omitempty"`
}
