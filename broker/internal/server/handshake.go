package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// agreed is what the handshake found out and the session does not keep itself.
type agreed struct {
	heartbeat time.Duration
	name      string // as the client calls itself
}

// errClosed says that the client closed the connection by the rules.
var errClosed = errors.New("client closed the connection during the handshake")

// handshake leads from the protocol header to connection.open-ok. It reads and writes
// by itself: reader and writer begin when it has succeeded. Bytes that it read too many
// stay in s.in and s.work.
//
//	client            server
//	AMQP 0 0 9 1 ──▶
//	           ◀── start
//	start-ok     ──▶         (or secure-ok: no mechanism here needs a challenge)
//	           ◀── tune
//	tune-ok, open ──▶
//	           ◀── open-ok
func (s *session) handshake(ctx context.Context) (agreed, error) {
	if err := s.conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return agreed{}, err
	}
	if err := s.arrive(ctx); err != nil {
		return agreed{}, err
	}
	if err := s.protocolHeader(); err != nil {
		return agreed{}, err
	}
	client, err := s.start()
	if err != nil {
		return agreed{}, err
	}
	heartbeat, err := s.tune()
	if err != nil {
		return agreed{}, err
	}
	if err := s.open(ctx, client); err != nil {
		return agreed{}, err
	}
	s.in.idle = heartbeatsMissed * heartbeat
	name, _ := client.Get("connection_name")
	text, _ := name.(string)
	return agreed{heartbeat: heartbeat, name: text[:min(len(text), connectionNameMax)]}, s.conn.SetDeadline(time.Time{})
}

// protocolHeader reads the first bytes. A client that wants another version is told ours.
func (s *session) protocolHeader() error {
	in := s.in
	if err := in.fillTo(amqp.HeaderBytes); err != nil {
		return fmt.Errorf("protocol header: %w", err)
	}
	b := in.cur.buf[:in.end]
	if err := checkHeader(b[:amqp.HeaderBytes]); err != nil {
		h := amqp.Header()
		_, _ = s.conn.Write(h[:]) // the connection ends anyway
		return err
	}
	in.end = copy(b, b[amqp.HeaderBytes:])
	return nil
}

// start greets, and authenticates the client. It returns the client's properties.
func (s *session) start() (message.Table, error) {
	err := s.write(&amqp.ConnectionStart{
		VersionMajor: 0, VersionMinor: 9, ServerProperties: s.srv.properties(),
		Mechanisms: s.mechanisms(), Locales: "en_US",
	})
	if err != nil {
		return nil, err
	}
	m, err := expect[*amqp.ConnectionStartOK](s)
	if err != nil {
		return nil, err
	}
	l, err := s.login(m.Mechanism, m.Response)
	if err != nil {
		return nil, s.refuse(m.ID(), err)
	}
	if err := s.authenticate(l); err != nil {
		s.log.Warn("login refused", "user", l.user, "mechanism", m.Mechanism, "error", err)
		if !capability(m.ClientProperties, "authentication_failure_close") {
			select { // such a client takes a closed socket for the answer; no hurry for guessers
			case <-time.After(silentCloseDelay):
			case <-s.srv.stop:
			}
			return nil, err
		}
		return nil, s.refuse(0, fault.New(fault.AccessRefused,
			"Login was refused using authentication mechanism %s. For details see the broker logfile.", m.Mechanism))
	}
	s.user, s.mechanism = l.user, m.Mechanism
	s.cancelNotify = capability(m.ClientProperties, "consumer_cancel_notify")
	s.blockedNotify = capability(m.ClientProperties, "connection.blocked")
	return m.ClientProperties, nil
}

func (s *session) authenticate(l login) error {
	err := s.srv.broker.Identify(l.user)
	if !l.certified {
		err = s.srv.broker.Authenticate(l.user, l.password)
	}
	if err == nil && slices.Contains(s.srv.cfg.LoopbackUsers, l.user) && !loopback(s.peer) {
		return fault.New(fault.AccessRefused, "user '%s' can only connect via localhost", l.user)
	}
	return err
}

// loopback says if a peer is on this machine. An address that is no TCP address is one of
// an in-process pipe.
func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return !ok || t.IP.IsLoopback()
}

// tune agrees on the limits. The client's heartbeat wins.
func (s *session) tune() (heartbeat time.Duration, err error) {
	cfg := &s.srv.cfg
	err = s.write(&amqp.ConnectionTune{
		ChannelMax: cfg.ChannelMax, FrameMax: cfg.FrameMax, Heartbeat: uint16(cfg.Heartbeat / time.Second),
	})
	if err != nil {
		return 0, err
	}
	m, err := expect[*amqp.ConnectionTuneOK](s)
	if err != nil {
		return 0, err
	}
	err = errors.Join(
		negotiated("frame_max", amqp.FrameMinSize, cfg.FrameMax, m.FrameMax),
		negotiated("channel_max", 1, uint32(cfg.ChannelMax), uint32(m.ChannelMax)),
	)
	if err != nil {
		return 0, s.refuse(m.ID(), fault.Hard(fault.NotAllowed, "%s", err))
	}
	s.channelMax = m.ChannelMax
	s.frameMax = int(m.FrameMax)
	s.in.frameMax = m.FrameMax
	s.heartbeat = time.Duration(m.Heartbeat) * time.Second
	return s.heartbeat, nil
}

// negotiated checks a client's answer to a proposal. 0 stands for no limit.
func negotiated(name string, least, most, got uint32) error {
	switch {
	case got == 0 || got > most:
		return fmt.Errorf("negotiated %s = %d is higher than the maximum allowed value (%d)", name, got, most)
	case got < least:
		return fmt.Errorf("negotiated %s = %d is lower than the minimum allowed value (%d)", name, got, least)
	}
	return nil
}

// open connects to the virtual host.
func (s *session) open(ctx context.Context, client message.Table) error {
	m, err := expect[*amqp.ConnectionOpen](s)
	if err != nil {
		return err
	}
	if n := s.srv.cfg.ConnectionsMax; n > 0 && s.srv.open() > n {
		return s.refuse(m.ID(), fault.Hard(fault.NotAllowed, "connection refused: node connection limit (%d) is reached", n))
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	info := node.ClientInfo{
		Name: s.peer.String() + " -> " + s.local.String(), Peer: s.peer, Local: s.local, Properties: client,
		Mechanism: s.mechanism, ChannelMax: s.channelMax, FrameMax: uint32(s.frameMax), Heartbeat: s.heartbeat,
		TLS: s.tlsInfo, Traffic: s.traffic,
	}
	link, err := s.srv.broker.Connect(ctx, m.VirtualHost, s.user, info, s.inbox)
	if err != nil {
		return s.refuse(m.ID(), err)
	}
	s.opened.Store(true)
	s.link, s.vhost = link, m.VirtualHost
	if err := s.write(&amqp.ConnectionOpenOK{}); err != nil {
		s.link.Close()
		return err
	}
	return nil
}

// write sends one method at once.
func (s *session) write(m amqp.Method) error {
	_, err := s.conn.Write(amqp.AppendMethod(nil, 0, m))
	return err
}

// read returns the next method on channel 0.
func (s *session) read() (amqp.Method, error) {
	for {
		if s.work == nil {
			c, err := s.in.next()
			if err != nil {
				if _, ok := err.(*amqp.Error); ok {
					return nil, s.refuse(0, err)
				}
				return nil, err
			}
			s.work, s.at = c, 0
		}
		f := s.work.frames[s.at]
		m, err := s.decode(f)
		if s.at++; s.at == len(s.work.frames) {
			s.in.release(s.work)
			s.work = nil
		}
		if m != nil || err != nil {
			return m, err
		}
	}
}

// decode decodes a frame of the handshake; both results are nil for a heartbeat.
func (s *session) decode(f amqp.Frame) (amqp.Method, error) {
	switch {
	case f.Type == amqp.FrameHeartbeat:
		return nil, nil //nolint:nilnil // nothing to decode, nothing wrong
	case f.Type != amqp.FrameMethod || f.Channel != 0:
		return nil, s.refuse(0, amqp.Errorf(amqp.UnexpectedFrame,
			"frame of type %d on channel %d before the connection is open", f.Type, f.Channel))
	}
	m, err := s.decoder.Method(f.Payload)
	if err != nil {
		return nil, s.refuse(0, err)
	}
	return m, nil
}

// expect reads the method that the handshake is waiting for.
func expect[M amqp.Method](s *session) (want M, err error) {
	m, err := s.read()
	if err != nil {
		return want, err
	}
	if m, ok := m.(M); ok {
		return m, nil
	}
	if _, ok := m.(*amqp.ConnectionClose); ok {
		_ = s.write(&amqp.ConnectionCloseOK{}) // the connection ends anyway
		return want, errClosed
	}
	return want, s.refuse(m.ID(), amqp.Errorf(amqp.CommandInvalid, "expected %s, got %s", want.ID(), m.ID()))
}

// refuse tells the client why the connection ends, waits until it has taken note, and
// returns err.
func (s *session) refuse(id amqp.MethodID, err error) error {
	x := exceptionOf(err)
	_ = s.conn.SetDeadline(time.Now().Add(closeTimeout))
	farewell := &amqp.ConnectionClose{
		ReplyCode: uint16(x.code), ReplyText: x.text, ClassID: id.Class(), MethodID: id.Method(),
	}
	if s.write(farewell) != nil {
		return err
	}
	for {
		c, rerr := s.in.next()
		if rerr != nil {
			return err
		}
		for _, f := range c.frames {
			if m, _ := s.decoder.Method(f.Payload); m != nil && m.ID() == amqp.IDConnectionCloseOK {
				return err
			}
		}
		s.in.release(c)
	}
}

// capability says if a client declared that it understands something.
func capability(client message.Table, name string) bool {
	v, _ := client.Get("capabilities")
	t, _ := v.(message.Table)
	on, _ := t.Get(name)
	b, _ := on.(bool)
	return b
}

// Clients look at product and version to know what they may ask for: they hear whose
// behaviour this is. The platform tells the broker's own name and version.
const (
	compatibleProduct = "RabbitMQ"
	compatibleVersion = "4.3.0"
)

// properties returns what the server tells of itself. Clients look at the capabilities
// before they use what the specification lacks.
func (s *Server) properties() message.Table {
	names := [...]string{
		"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
		"connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
		"direct_reply_to",
	}
	able := make(message.Table, 0, len(names))
	for _, name := range names {
		able = append(able, message.Field{Key: name, Value: true})
	}
	return message.Table{
		{Key: "capabilities", Value: able},
		{Key: "cluster_name", Value: s.cfg.ClusterName()},
		{Key: "copyright", Value: "Warren contributors"},
		{Key: "information", Value: "Warren speaks RabbitMQ's protocol. Apache License 2.0"},
		{Key: "platform", Value: "Warren " + s.cfg.Version + ", Go " + runtime.Version()[2:]},
		{Key: "product", Value: compatibleProduct},
		{Key: "version", Value: compatibleVersion + "+warren." + s.cfg.Version},
	}
}
