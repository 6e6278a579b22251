package node

import (
	"github.com/warren-mq/warren/broker/internal/message"
)

// Session is what the node asks of a front end: one per client connection. The
// node's workers call it, from any goroutine, so no method may block: it puts what
// it is given into its own inbox. Slices are the caller's again after the return.
type Session interface {
	// Deliver hands over messages for c, in delivery order. Calls for one consumer
	// are never concurrent. None comes after Cancel(c) has returned.
	Deliver(c *Consumer, ds []Delivery)
	// Confirm settles publishes that Link.Publish was given with a confirm number.
	// Each number comes exactly once while the link is open, in no fixed order.
	Confirm(cs []Confirmation)
	// ConsumerCancelled says that the broker ended c: its queue is gone.
	ConsumerCancelled(c *Consumer)
	// Abort says that the broker ends the connection (320), with the reason.
	Abort(reason string)
}

// Delivery is one message on its way to a consumer, or the answer to a get.
type Delivery struct {
	// Seq is the message's sequence number in its queue: what Settle names.
	Seq uint64
	// Redelivered is set if it may have been delivered before.
	Redelivered bool
	// DeliveryCount is the number of failed deliveries before this one; the front end
	// adds it as header x-delivery-count if it is not 0 (replicated queues only).
	DeliveryCount uint32
	Message       *message.Message
}

// Confirmation is the fate of one publish.
type Confirmation struct {
	Channel uint16
	Number  uint64 // as given to Publish
	Nack    bool   // refused: overflow reject-publish, or an internal error
}

// Outcome is what became of a delivery.
type Outcome uint8

// The outcomes of a delivery.
const (
	Ack     Outcome = iota // done: remove it
	Requeue                // back to its place, redelivered next time
	Discard                // reject without requeue: dead-letter it if the queue says where
)

// QueueSpec is what a declare asks for.
type QueueSpec struct {
	Name                           string // "" asks for a generated amq.gen- name
	Durable, Exclusive, AutoDelete bool
	Args                           message.Table
}

// QueueInfo is the answer to a declare.
type QueueInfo struct {
	Name      string
	Ready     uint32 // messages ready
	Consumers uint32
}

// ExchangeSpec is what an exchange declare asks for.
type ExchangeSpec struct {
	Name, Type                    string
	Durable, AutoDelete, Internal bool
	Args                          message.Table
}

// BindingSpec names a binding from an exchange to a queue or to another exchange.
type BindingSpec struct {
	Source      string
	Destination string
	ToExchange  bool
	Key         string
	Args        message.Table
}

// ConsumeSpec is what a consume asks for.
type ConsumeSpec struct {
	Channel   uint16
	Tag       string // never empty: the front end generates it
	Queue     string
	NoAck     bool
	Exclusive bool
	Prefetch  uint16 // 0: unlimited
	Args      message.Table
}
