package server

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// rawConn is a client that sends what the standard client never would.
type rawConn struct {
	net.Conn
	t  testing.TB
	in *inbound
	d  *amqp.Decoder

	chunk *chunk
	at    int
}

// newRaw sends the protocol header and takes connection.start.
func newRaw(t testing.TB, c net.Conn) *rawConn {
	t.Helper()
	r := &rawConn{Conn: c, t: t, in: newInbound(c, new(node.Traffic)), d: amqp.NewDecoder()}
	r.in.frameMax = 1 << 20
	t.Cleanup(func() { _ = c.Close() })
	h := amqp.Header()
	r.write(h[:])
	r.expect(amqp.IDConnectionStart)
	return r
}

// dialRaw opens a connection up to connection.open-ok.
func dialRaw(t testing.TB, addr string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(t, c)
	r.login(0)
	return r
}

// login goes on from connection.start to connection.open-ok.
func (r *rawConn) login(heartbeat uint16) {
	r.t.Helper()
	r.call(0, startOK("guest"), amqp.IDConnectionTune)
	r.send(0, &amqp.ConnectionTuneOK{ChannelMax: 2047, FrameMax: 131072, Heartbeat: heartbeat})
	r.call(0, &amqp.ConnectionOpen{VirtualHost: "/"}, amqp.IDConnectionOpenOK)
}

func startOK(password string) *amqp.ConnectionStartOK {
	return &amqp.ConnectionStartOK{
		ClientProperties: message.Table{{Key: "capabilities", Value: message.Table{
			{Key: "authentication_failure_close", Value: true},
		}}},
		Mechanism: "PLAIN", Response: "\x00guest\x00" + password, Locale: "en_US",
	}
}

func (r *rawConn) write(b []byte) {
	r.t.Helper()
	if _, err := r.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rawConn) send(channel uint16, m amqp.Method) {
	r.t.Helper()
	r.write(amqp.AppendMethod(nil, channel, m))
}

// frame returns the next frame, heartbeats included.
func (r *rawConn) frame() (amqp.Frame, error) {
	if r.chunk == nil {
		c, err := r.in.next()
		if err != nil {
			return amqp.Frame{}, err
		}
		r.chunk, r.at = c, 0
	}
	f := r.chunk.frames[r.at]
	if r.at++; r.at == len(r.chunk.frames) {
		r.chunk = nil // not released: the frame is in it
	}
	return f, nil
}

// method returns the next method; heartbeats and content pass unseen.
func (r *rawConn) method() (amqp.Method, error) {
	for {
		f, err := r.frame()
		if err != nil {
			return nil, err
		}
		if f.Type == amqp.FrameMethod {
			return r.d.Method(f.Payload)
		}
	}
}

func (r *rawConn) expect(id amqp.MethodID) amqp.Method {
	r.t.Helper()
	_ = r.SetReadDeadline(time.Now().Add(testTimeout))
	m, err := r.method()
	if err != nil {
		r.t.Fatalf("waiting for %s: %v", id, err)
	}
	if m.ID() != id {
		r.t.Fatalf("got %s %+v, want %s", m.ID(), m, id)
	}
	_ = r.SetReadDeadline(time.Time{})
	return m
}

func (r *rawConn) call(channel uint16, m amqp.Method, answer amqp.MethodID) amqp.Method {
	r.t.Helper()
	r.send(channel, m)
	return r.expect(answer)
}

// expectEOF says that the server has nothing more to say.
func (r *rawConn) expectEOF() {
	r.t.Helper()
	_ = r.SetReadDeadline(time.Now().Add(testTimeout))
	if m, err := r.method(); err == nil {
		r.t.Errorf("got %s, want the end", m.ID())
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		r.t.Error("the connection stays open")
	}
}
