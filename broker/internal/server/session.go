package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
)

// session owns a connection's state. Its goroutine is the only one that touches any of
// it, but for inbox, in and out, which say themselves who may do what.
type session struct {
	srv    *Server
	socket net.Conn
	tls    *tls.Config // nil: the listener has none
	conn   net.Conn    // the socket, or TLS on top of it
	log    *slog.Logger
	// The ends of the connection: the socket's, or what a trusted proxy says.
	peer, local net.Addr
	tlsInfo     *node.TLSInfo
	certified   string // the user that a verified certificate names, "" for none
	mechanism   string
	traffic     *node.Traffic

	inbox *inbox
	// opened is set at connection.open: from then on an abort can be told.
	opened atomic.Bool

	in      *inbound
	out     *outbound
	link    Link
	decoder *amqp.Decoder

	user         string
	vhost        string
	heartbeat    time.Duration
	frameMax     int
	channelMax   uint16
	cancelNotify bool // the client understands a server's basic.cancel
	// Of the broker's alarms: see blocked.go.
	blockedNotify bool   // the client understands connection.blocked
	alarm         string // why nobody may publish; "" if all may
	toldBlocked   bool   // the client was told
	parked        []amqp.Frame
	parkedBytes   int
	parking       map[uint16]struct{} // the channels of parked frames

	channels map[uint16]*channel
	// consumers finds the state of those that the node may name.
	consumers map[*node.Consumer]*consumer
	getter    *consumer // of the last basic.get
	epoch     uint64    // of the last channel opened

	// The work at hand: frames of one chunk, of which the first at are done.
	work *chunk
	at   int

	pkt    *packet // what this turn has to send
	news   *news   // emptied, for the next swap
	handed []handed
	dirty  []*consumer // with settles to pass on at the turn's end
	acking []*channel  // with confirms to send at the turn's end
	// relieved are channels whose parked deliveries may go out at the turn's end.
	relieved []*channel

	// Times since began: of this turn, 0 if nobody asked; and when ackTimer fires, 0 if
	// it does not.
	began    time.Time
	now      time.Duration
	ackDue   time.Duration
	ackTimer *time.Timer

	closing  bool // connection.close was sent
	deadline <-chan time.Time
	ended    bool
}

func newSession(srv *Server, conn net.Conn, secure *tls.Config) *session {
	traffic := new(node.Traffic)
	return &session{
		srv: srv, socket: conn, tls: secure, conn: conn, inbox: newInbox(), in: newInbound(conn, traffic), decoder: amqp.NewDecoder(),
		log:  srv.log.With("peer", conn.RemoteAddr().String()),
		peer: conn.RemoteAddr(), local: conn.LocalAddr(), traffic: traffic,
		channels: map[uint16]*channel{}, consumers: map[*node.Consumer]*consumer{},
		news: new(news), pkt: new(packet),
	}
}

// run is the session's goroutine: handshake, turns, farewell.
func (s *session) run(ctx context.Context) {
	defer func() { _ = s.conn.Close() }()
	h, err := s.handshake(ctx)
	if err != nil {
		s.log.Warn("connection refused", "error", err)
		return
	}
	s.log.Info("connection opened", "user", s.user, "vhost", s.vhost, "name", h.name)

	// Waiting for the link must end with the connection.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var writer, reader sync.WaitGroup
	s.out = newOutbound(s.conn, s.traffic, h.heartbeat, s.inbox.signal)
	writer.Go(s.out.writeAll)
	batches := make(chan batch, 1)
	var why error
	reader.Go(func() { why = s.in.readAll(ctx, s.link, batches) })

	s.turns(ctx, batches)

	s.leave()
	s.out.close()
	_ = s.conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	writer.Wait()
	cancel()
	_ = s.conn.Close()
	for range batches { // the reader may be waiting to hand one over
	}
	reader.Wait()
	s.log.Info("connection closed", "user", s.user, "vhost", s.vhost, "reason", reason(why))
}

func reason(err error) string {
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return "closed"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "missed heartbeats from client"
	}
	return err.Error()
}

// turns handles what comes until the connection has ended. A turn takes all there is
// from both sides, the node and the client, and then sends once.
func (s *session) turns(ctx context.Context, batches <-chan batch) {
	s.began, s.ackTimer = time.Now(), time.NewTimer(0)
	s.ackTimer.Stop() // since Go 1.23, nothing is left in its channel
	defer s.ackTimer.Stop()
	for !s.ended {
		var from <-chan batch
		full := s.out.full()
		if s.work == nil && !full && !s.jammed() {
			from = batches
		}
		if s.work == nil || full {
			select {
			case b, ok := <-from:
				s.take(ctx, b, ok)
			case <-s.inbox.wake:
			case <-s.ackTimer.C:
				s.overdue(ctx)
			case <-s.deadline:
				s.ended = true
			}
		}
		s.now = 0
		s.hear(ctx)
		s.workOff(ctx)
		s.flush()
	}
}

// take begins with a batch. The channel is closed when the reader has ended.
func (s *session) take(ctx context.Context, b batch, ok bool) {
	switch {
	case !ok:
		s.ended = true
	case b.err != nil:
		s.fail(ctx, 0, 0, b.err)
	default:
		s.work, s.at = b.chunk, 0
	}
}

// hear takes in what the node's workers and the writer have left.
func (s *session) hear(ctx context.Context) {
	var err error
	s.handed, err = s.out.collect(s.handed[:0])
	for _, h := range s.handed {
		if !s.closing {
			s.link.Credit(h.c.node, h.n, h.bytes)
		}
	}
	clear(s.handed)
	if err != nil {
		s.ended = true
		return
	}
	n := s.inbox.swap(s.news)
	if !s.closing {
		ds := n.deliveries
		for _, r := range n.runs {
			s.deliver(r.c, ds[:r.n])
			ds = ds[r.n:]
		}
		for _, c := range n.confirms {
			s.confirmed(ctx, c)
		}
		for _, c := range n.cancelled {
			s.consumerCancelled(c)
		}
		if n.alarmed {
			s.block(ctx, n.alarm)
		}
		if n.abort != "" {
			s.abort(n.abort)
		}
	}
	n.reset()
	s.news = n
}

// workOff handles frames until none is left or the client must read first.
func (s *session) workOff(ctx context.Context) {
	for s.work != nil && !s.ended {
		s.handle(ctx, s.work.frames[s.at])
		if s.at++; s.at == len(s.work.frames) {
			s.in.release(s.work)
			s.work = nil
		}
		if s.overfull() {
			return
		}
	}
}

// overfull says that this turn alone has much to send.
func (s *session) overfull() bool {
	return len(s.pkt.buf) > outboundBytesMax/4 || len(s.pkt.refs) > 256
}

// flush ends a turn: settles go to the node, confirms and all else to the socket.
func (s *session) flush() {
	s.unpark()
	s.flushSettles()
	s.flushConfirms()
	if len(s.pkt.buf) > 0 {
		s.out.send(s.pkt)
		s.pkt = s.out.packet()
	}
}

// send adds a method to what the turn sends.
func (s *session) send(channel uint16, m amqp.Method) {
	s.pkt.buf = amqp.AppendMethod(s.pkt.buf, channel, m)
}

// leave gives back what the connection held. The node waits for nobody afterwards.
func (s *session) leave() {
	if s.link == nil || s.closing {
		return
	}
	s.closing = true
	for _, ch := range s.channels {
		s.giveBack(ch)
	}
	s.flush()
	s.link.Close()
	clear(s.channels)
	clear(s.consumers)
}

// fail answers an error: with channel.close, or with connection.close if it is a grave
// one or concerns no channel.
func (s *session) fail(ctx context.Context, number uint16, id amqp.MethodID, err error) {
	x := exceptionOf(err)
	log := s.log.With("channel", number, "method", id.String(), "error", err)
	ch := s.channels[number]
	if x.hard || ch == nil {
		log.Warn("connection exception", "reply", x.text)
		s.closeConnection(x, id)
		return
	}
	log.Info("channel exception", "reply", x.text)
	s.closeChannel(ctx, ch, x, id)
}
