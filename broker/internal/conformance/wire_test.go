package conformance

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
)

const (
	writeTimeout  = 10 * time.Second
	frameBytesMax = 64 << 20 // the runner takes whatever size of frame it is sent
)

// event is what a broker sent on a connection, as a line without the connection's name.
type event struct {
	conn    *conn
	channel int // -1: the connection itself
	line    string
	method  amqp.MethodID // 0 if it is none
}

// conn is one connection of a row.
type conn struct {
	name   string
	row    *row
	net    net.Conn
	events chan<- event
	wmu    sync.Mutex

	// The runner's own, of what it has seen.
	channels map[uint16]bool
	closed   bool

	// The reader's.
	dec     *amqp.Decoder
	pending map[uint16]*content
}

// content is a message that is being put together.
type content struct {
	line   string
	method amqp.MethodID
	want   uint64
	props  []byte
	body   []byte
}

func dial(r *row, name, addr string, events chan<- event) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, writeTimeout)
	if err != nil {
		return nil, err
	}
	n := &conn{
		name: name, row: r, net: c, events: events, channels: map[uint16]bool{},
		dec: amqp.NewDecoder(), pending: map[uint16]*content{},
	}
	go n.read()
	return n, nil
}

func (c *conn) write(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.net.Write(b)
	return err
}

func (c *conn) send(channel uint16, m amqp.Method) error {
	return c.write(amqp.AppendMethod(nil, channel, m))
}

// read turns what comes into events until the socket ends.
func (c *conn) read() {
	buf, end := make([]byte, 64<<10), 0
	for {
		used, err := c.cut(buf[:end])
		if err == errDone {
			return
		}
		if err != nil {
			c.events <- event{c, -1, "broken " + err.Error(), 0}
			return
		}
		end = copy(buf, buf[used:end])
		if end == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		n, err := c.net.Read(buf[end:])
		end += n
		if n > 0 {
			continue
		}
		if !errors.Is(err, net.ErrClosed) { // the runner's own doing
			c.events <- event{c, -1, "closed", 0}
		}
		return
	}
}

// cut takes the whole frames from the front of b.
func (c *conn) cut(b []byte) (used int, err error) {
	for {
		rest := b[used:]
		if bytes.HasPrefix(rest, []byte("AMQP")) && len(rest) >= 8 {
			c.events <- event{c, -1, fmt.Sprintf("header %d %d %d %d", rest[4], rest[5], rest[6], rest[7]), 0}
			used += 8
			continue
		}
		f, n, _, err := amqp.Next(rest, frameBytesMax)
		if err != nil || n == 0 {
			return used, err
		}
		used += n
		if err := c.frame(f); err != nil {
			return used, err
		}
	}
}

func (c *conn) frame(f amqp.Frame) error {
	switch f.Type {
	case amqp.FrameHeartbeat:
		c.events <- event{c, int(f.Channel), "heartbeat", 0}
		return nil
	case amqp.FrameMethod:
		m, err := c.dec.Method(f.Payload)
		if err != nil {
			return err
		}
		return c.method(f.Channel, m)
	}
	p := c.pending[f.Channel]
	if p == nil {
		return fmt.Errorf("content frame on channel %d out of place", f.Channel)
	}
	if f.Type == amqp.FrameHeader {
		h, err := amqp.ParseContent(f.Payload)
		if err != nil {
			return err
		}
		p.want, p.props = h.BodySize, bytes.Clone(h.Properties)
	} else {
		p.body = append(p.body, f.Payload...)
	}
	if uint64(len(p.body)) == p.want {
		delete(c.pending, f.Channel)
		c.events <- event{c, int(f.Channel), p.line + " " + showContent(p.props, p.body), p.method}
	}
	return nil
}

func (c *conn) method(channel uint16, m amqp.Method) error {
	line, id := showMethod(m), m.ID()
	switch m.(type) {
	case *amqp.BasicDeliver, *amqp.BasicReturn, *amqp.BasicGetOK:
		c.pending[channel] = &content{line: line, method: id}
		return nil
	}
	if !c.row.manual {
		switch m.(type) {
		case *amqp.ChannelClose:
			_ = c.send(channel, &amqp.ChannelCloseOK{}) // if it fails, the end is an event too
		case *amqp.ConnectionClose:
			_ = c.send(0, &amqp.ConnectionCloseOK{})
		}
	}
	c.events <- event{c, int(channel), line, id}
	if id == amqp.IDConnectionCloseOK {
		return errDone
	}
	return nil
}

// errDone ends the reader after close-ok: who closes the socket first is no matter.
var errDone = errors.New("done")

// splitBytes parses hex digits with spaces among them; text in quotes stands for itself.
func splitBytes(words []string) ([]byte, error) {
	var out []byte
	for _, w := range words {
		if strings.HasPrefix(w, `"`) {
			s, err := strconv.Unquote(w)
			if err != nil {
				return nil, err
			}
			out = append(out, s...)
			continue
		}
		b, err := hex.DecodeString(w)
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// login is what a connection's handshake says.
type login struct {
	user, password, vhost string
	tune                  amqp.ConnectionTuneOK
	without               string // a capability that the client lacks
}

func newLogin(words map[string]string) (login, error) {
	l := login{user: "guest", password: "guest", vhost: "/", tune: amqp.ConnectionTuneOK{ChannelMax: 2047, FrameMax: 131072}}
	for k, v := range words {
		n, err := strconv.ParseUint(v, 10, 32)
		switch k {
		case "user":
			l.user, err = v, nil
		case "password":
			l.password, err = v, nil
		case "vhost":
			l.vhost, err = v, nil
		case "without":
			l.without, err = v, nil
		case "channel_max":
			l.tune.ChannelMax = uint16(n)
		case "frame_max":
			l.tune.FrameMax = uint32(n)
		case "heartbeat":
			l.tune.Heartbeat = uint16(n)
		default:
			return l, fmt.Errorf("open has no %q", k)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *login) startOK() *amqp.ConnectionStartOK {
	var able message.Table
	for _, name := range []string{
		"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
		"connection.blocked", "authentication_failure_close",
	} {
		if name != l.without {
			able = append(able, message.Field{Key: name, Value: true})
		}
	}
	return &amqp.ConnectionStartOK{
		ClientProperties: message.Table{{Key: "capabilities", Value: able}},
		Mechanism:        "PLAIN", Response: "\x00" + l.user + "\x00" + l.password, Locale: "en_US",
	}
}
