package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
)

// Limits that no setting changes.
const (
	handshakeTimeout  = 10 * time.Second // from accept to connection.open
	handshakeBytesMax = 8192             // a frame before the peers have agreed on a size
	operationTimeout  = 15 * time.Second // one declare, bind, consume…
	closeTimeout      = 5 * time.Second  // for the client's close-ok, and for the last write
	silentCloseDelay  = 3 * time.Second  // before dropping a client that can't be told why
	heartbeatsMissed  = 2                // intervals without traffic until a client counts as dead
	outboundBytesMax  = 4 << 20          // bytes waiting for the socket until no frame is read
	chunkBytesMin     = 8 << 10          // a read buffer, grown while reads fill it
	chunkBytesMax     = 256 << 10
	chunksMax         = 3       // read buffers of one connection: filling, waiting, in work
	bodyCopyBytesMax  = 4 << 10 // smaller bodies are copied beside their headers
	parkedBytesMax    = 1 << 20 // of publishes that wait for an alarm's end, until no frame is read
	keptBytesMax      = 64 << 10
	packetBytesMax    = outboundBytesMax/4 + keptBytesMax // what one turn sends, but for large bodies
	contentHeadBytes  = 512                               // about what frames and counts add to properties and body
	connectionNameMax = 255
	replyTextBytesMax = 255
)

// Config is the listener's settings.
type Config struct {
	// Version is the broker's, as the server properties tell it.
	Version string
	// ClusterName is told there too, as it is when a client comes.
	ClusterName func() string
	// ChannelMax, FrameMax (bytes) and Heartbeat (whole seconds, 0 for none) are what
	// the server proposes; a client may ask for less.
	ChannelMax uint16
	FrameMax   uint32
	Heartbeat  time.Duration
	// MessageBytesMax limits a message's body.
	MessageBytesMax int
	// ConnectionsMax limits the open connections; 0 means no limit.
	ConnectionsMax int
	// ConsumersMax limits the consumers of a channel; 0 means no limit.
	ConsumersMax int
	// TrustedProxies may say in a PROXY protocol header whose connection they pass on.
	TrustedProxies []netip.Prefix
	// CertificateLogin says what of a verified certificate names the user of EXTERNAL.
	CertificateLogin CertificateLogin
	// LoopbackUsers may connect only from this machine.
	LoopbackUsers []string
	// Logger takes the listener's log; nil discards it.
	Logger *slog.Logger
}

// Defaults returns the settings of a broker that was told nothing.
func Defaults() Config {
	return Config{
		Version:         "0.0.0",
		ClusterName:     func() string { return "warren" },
		ChannelMax:      2047,
		FrameMax:        128 << 10,
		Heartbeat:       60 * time.Second,
		MessageBytesMax: 16 << 20,
		LoopbackUsers:   []string{"guest"},

		CertificateLogin: LoginDistinguishedName,
	}
}

// Validate says what in the settings can't work.
func (c *Config) Validate() error {
	var errs []error
	if c.ChannelMax == 0 {
		errs = append(errs, errors.New("channel max is 0"))
	}
	if c.FrameMax < amqp.FrameMinSize || c.FrameMax > 64<<20 {
		errs = append(errs, fmt.Errorf("frame max of %d bytes is not between %d and %d", c.FrameMax, amqp.FrameMinSize, 64<<20))
	}
	if c.Heartbeat < 0 || c.Heartbeat%time.Second != 0 || c.Heartbeat > 65535*time.Second {
		errs = append(errs, fmt.Errorf("heartbeat of %s is not a whole number of seconds up to 65535", c.Heartbeat))
	}
	if c.MessageBytesMax <= 0 || c.MessageBytesMax > 512<<20 {
		errs = append(errs, fmt.Errorf("message size of %d bytes is not between 1 and %d", c.MessageBytesMax, 512<<20))
	}
	switch c.CertificateLogin {
	case LoginDistinguishedName, LoginCommonName, LoginDNS, LoginEmail, LoginURI:
	default:
		errs = append(errs, fmt.Errorf("certificate login is %q, allowed are distinguished_name, common_name, san_dns, san_email and san_uri", c.CertificateLogin))
	}
	return errors.Join(errs...)
}
