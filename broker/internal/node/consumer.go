package node

import (
	"net"

	"github.com/warren-mq/warren/broker/internal/message"
)

// Consumer is one subscription of a link, or the handle of its gets from a queue.
type Consumer struct {
	Channel uint16
	Tag     string
	Queue   string
	NoAck   bool
}

// ClientInfo describes the client behind a link, for those who list connections.
type ClientInfo struct {
	Name        string // "peer -> local"
	Peer, Local net.Addr
	Properties  message.Table // as the client sent them
}
