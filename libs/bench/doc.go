// Package bench compares the binder with the bare client and with Watermill's AMQP Pub/Sub, on one broker in one process and one
// run. It is a module of its own, so that users of libs do not inherit what it compares with.
//
//	make bench-binder
//
// Every benchmark's operation is one message of 256 bytes, persistent, in a durable queue. Allocations are those of the whole
// process: client and broker together; the bare client's are the broker's share and its own.
package bench
