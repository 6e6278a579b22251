// Package rabbit is the binder for RabbitMQ and everything else that speaks AMQP 0-9-1. It declares and publishes what Spring
// Cloud Stream's Rabbit binder does, but with publisher confirms and mandatory on, and it recovers by itself for as long as it
// runs: any connection may die at any moment, a broker or the proxy in front may change, a queue's home may move.
package rabbit

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// Defaults and limits.
const (
	DefaultHeartbeat         = 5 * time.Second
	DefaultConnectTimeout    = 5 * time.Second
	DefaultReconnectMin      = 50 * time.Millisecond
	DefaultReconnectMax      = 2 * time.Second
	DefaultInFlightMax       = 2048             // unconfirmed messages per producer binding
	DefaultDeadLetterTimeout = 10 * time.Second // wait for the confirm of a dead letter
	stableAfter              = 2 * time.Second  // a connection that lived so long resets the backoff
	rpcTimeout               = 30 * time.Second // for the broker to answer declarations
	closeTimeout             = 2 * time.Second  // for the closing handshake of a connection
	frameMaxHeadroomBytes    = 20000            // left free of stack trace in the header frame of a dead letter
	prefetchMax              = 65535            // of basic.qos
)

// Config of a binder. Only Addresses is required.
type Config struct {
	// Addresses are AMQP URLs, tried in turn: amqp://user:password@host:port/vhost. One address of a proxy is enough.
	Addresses []string
	// ConnectionName is seen in the broker's list of connections, with "-publish" and "-consume" behind it; the program's name
	// when empty.
	ConnectionName string
	// TLS for amqps addresses; nil is the system's roots.
	TLS               *tls.Config
	Heartbeat         time.Duration
	ConnectTimeout    time.Duration // TCP, TLS and AMQP handshake together
	ReconnectMin      time.Duration // first pause after a failure, grows twofold with jitter
	ReconnectMax      time.Duration
	InFlightMax       int
	DeadLetterTimeout time.Duration
	Logger            *slog.Logger // slog.Default when nil
	// Customize, when set, may change what a binding declares before it is declared.
	Customize func(b stream.Binding, t *Topology)
}

// withDefaults fills zero fields.
func (c Config) withDefaults() Config {
	c.ConnectionName = cmp.Or(c.ConnectionName, filepath.Base(os.Args[0]))
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, DefaultConnectTimeout)
	c.ReconnectMin = cmp.Or(c.ReconnectMin, DefaultReconnectMin)
	c.ReconnectMax = cmp.Or(c.ReconnectMax, DefaultReconnectMax)
	c.InFlightMax = cmp.Or(c.InFlightMax, DefaultInFlightMax)
	c.DeadLetterTimeout = cmp.Or(c.DeadLetterTimeout, DefaultDeadLetterTimeout)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Validate reports what can never work.
func (c Config) Validate() error {
	if len(c.Addresses) == 0 {
		return errors.New("rabbit: no address")
	}
	for _, a := range c.Addresses {
		if _, err := amqp.ParseURI(a); err != nil {
			return fmt.Errorf("rabbit: address %w", err) // never the address itself: it holds a password
		}
	}
	if c.InFlightMax < 0 || c.ReconnectMin < 0 || c.ReconnectMax < 0 {
		return errors.New("rabbit: limits and pauses cannot be negative")
	}
	return nil
}
