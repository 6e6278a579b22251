package server

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// pipes is a listener without a network: fake time passes for its connections.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// inBubble runs f with fake time, a server and a client at connection.start.
func inBubble(t *testing.T, b *fakeBroker, f func(c *rawConn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv, err := New(Defaults(), From(b))
		if err != nil {
			t.Fatal(err)
		}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		served := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { served <- srv.Serve(ctx, l) }()
		client, server := net.Pipe()
		l.conns <- server
		f(newRaw(t, client))
		_ = client.Close()
		cancel() // ends Serve as Shutdown would
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestHandshakeTimeout(t *testing.T) {
	inBubble(t, newFake(), func(c *rawConn) {
		begin := time.Now()
		c.call(0, startOK("guest"), amqp.IDConnectionTune)
		c.expectEOF()
		if d := time.Since(begin); d != handshakeTimeout {
			t.Errorf("after %s", d)
		}
	})
}

func TestSilentLoginRefusal(t *testing.T) {
	inBubble(t, newFake(), func(c *rawConn) {
		begin := time.Now()
		c.send(0, &amqp.ConnectionStartOK{Mechanism: "PLAIN", Response: "\x00guest\x00wrong"})
		c.expectEOF()
		if d := time.Since(begin); d != silentCloseDelay {
			t.Errorf("after %s", d)
		}
	})
}

func TestHeartbeats(t *testing.T) {
	inBubble(t, newFake(), func(c *rawConn) {
		c.login(10)
		begin := time.Now()
		n := 0
		for {
			f, err := c.frame()
			if err != nil {
				break
			}
			if f.Type != amqp.FrameHeartbeat {
				t.Errorf("frame of type %d", f.Type)
			}
			n++
		}
		if d := time.Since(begin); d != 20*time.Second {
			t.Errorf("a silent client lived for %s", d)
		}
		if n < 3 || n > 4 {
			t.Errorf("%d heartbeats in 20 s", n)
		}
	})
}

// TestSlowOperation has a node that does not answer: the connection stays alive and the
// channel ends.
func TestSlowOperation(t *testing.T) {
	b := newFake()
	b.onDeclare = func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	inBubble(t, b, func(c *rawConn) {
		c.login(10)
		c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
		begin := time.Now()
		c.send(1, &amqp.QueueDeclare{Queue: "q"})
		beats := 0
		for {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == amqp.FrameHeartbeat {
				beats++
				continue
			}
			m, err := c.d.Method(f.Payload)
			if cc, ok := m.(*amqp.ChannelClose); !ok || cc.ReplyText != "RESOURCE_ERROR - the operation timed out" {
				t.Errorf("got %+v, %v", m, err)
			}
			break
		}
		if d := time.Since(begin); d != operationTimeout || beats < 2 {
			t.Errorf("after %s, %d heartbeats", d, beats)
		}
	})
}

// TestCloseOKNeverComes has a client that does not answer connection.close.
func TestCloseOKNeverComes(t *testing.T) {
	inBubble(t, newFake(), func(c *rawConn) {
		c.login(0)
		begin := time.Now()
		c.call(1, &amqp.BasicAck{}, amqp.IDConnectionClose)
		c.expectEOF()
		if d := time.Since(begin); d != closeTimeout {
			t.Errorf("after %s", d)
		}
	})
}

// TestBackPressure has a link that takes no more: the socket is not read, yet what the
// client is owed still arrives.
func TestBackPressure(t *testing.T) {
	b := newFake()
	var mu sync.Mutex
	ready := true
	var freed chan struct{}
	set := func(v bool) {
		mu.Lock()
		defer mu.Unlock()
		ready = v
	}
	b.onReady = func() bool {
		mu.Lock()
		defer mu.Unlock()
		return ready
	}
	b.onWait = func(ctx context.Context) error {
		select {
		case <-freed:
			set(true)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	b.onPublish = func(*fakeLink, uint16, uint64, *message.Message) (bool, error) {
		set(false)
		return true, nil
	}
	inBubble(t, b, func(c *rawConn) {
		freed = make(chan struct{}) // one of the bubble
		c.login(0)
		c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
		c.call(1, &amqp.ConfirmSelect{}, amqp.IDConfirmSelectOK)
		c.write(publishFrames(&amqp.BasicPublish{}, "1"))
		synctest.Wait()
		// The reader was already reading once more when the link filled up.
		c.write(publishFrames(&amqp.BasicPublish{}, "2"))
		synctest.Wait()
		_ = c.SetWriteDeadline(time.Now().Add(time.Hour))
		_, err := c.Write(publishFrames(&amqp.BasicPublish{}, "3"))
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
			t.Errorf("a third publish was read: %v", err)
		}
		_ = c.SetWriteDeadline(time.Time{})
		b.links[0].s.Confirm([]node.Confirmation{{Channel: 1, Number: 1<<confirmNumberBits | 1}})
		if m := c.expect(amqp.IDBasicAck).(*amqp.BasicAck); m.DeliveryTag != 1 {
			t.Errorf("%+v", m)
		}
		close(freed)
		c.call(0, &amqp.ConnectionClose{}, amqp.IDConnectionCloseOK)
	})
}

func TestAbortReason(t *testing.T) {
	b := newFake()
	inBubble(t, b, func(c *rawConn) {
		c.login(0)
		synctest.Wait()
		b.links[0].s.Abort("Closed via management plugin")
		m := c.expect(amqp.IDConnectionClose).(*amqp.ConnectionClose)
		if m.ReplyCode != 320 || m.ReplyText != "CONNECTION_FORCED - Closed via management plugin" {
			t.Errorf("%+v", m)
		}
		c.send(0, &amqp.ConnectionCloseOK{})
		c.expectEOF()
	})
}

func TestReplyTextFits(t *testing.T) {
	s := replyText(amqp.NotFound, strings.Repeat("ä", 200))
	if len(s) > 255 || !strings.HasSuffix(s, "ä...") {
		t.Errorf("%d bytes: %q", len(s), s)
	}
}
