package server

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
)

// publishFrames is a whole publish.
func publishFrames(m *amqp.BasicPublish, body string) []byte {
	b := amqp.AppendMethod(nil, 1, m)
	b = amqp.AppendContent(b, 1, len(body), nil)
	if body == "" {
		return b
	}
	return amqp.AppendBodyEnd(append(amqp.AppendBodyStart(b, 1, len(body)), body...))
}

func methods(channel uint16, ms ...amqp.Method) []byte {
	var b []byte
	for _, m := range ms {
		b = amqp.AppendMethod(b, channel, m)
	}
	return b
}

// TestConnectionExceptions sends what ends a connection.
func TestConnectionExceptions(t *testing.T) {
	consume := &amqp.BasicConsume{Queue: "q", ConsumerTag: "c"}
	tests := []struct {
		name string
		wire []byte
		code amqp.Code
		text string
		id   amqp.MethodID
	}{
		{"channel 0", methods(0, &amqp.QueueDeclare{Queue: "q"}), 504, "CHANNEL_ERROR - unexpected method in connection state running", amqp.IDQueueDeclare},
		{"not a client's", methods(1, &amqp.BasicDeliver{}), 503, "COMMAND_INVALID - unimplemented method", amqp.IDBasicDeliver},
		{"channel not open", methods(2, &amqp.QueueDeclare{}), 504, "CHANNEL_ERROR - expected 'channel.open'", amqp.IDQueueDeclare},
		{"content, channel not open", amqp.AppendContent(nil, 9, 0, nil), 505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", 0},
		{"second open", methods(1, &amqp.ChannelOpen{}), 504, "CHANNEL_ERROR - second 'channel.open' seen", amqp.IDChannelOpen},
		{"tag reused", methods(1, &amqp.QueueDeclare{Queue: "q", NoWait: true}, consume, consume), 530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'", amqp.IDBasicConsume},
		{"immediate", methods(1, &amqp.BasicPublish{Immediate: true}), 540, "NOT_IMPLEMENTED - immediate=true", amqp.IDBasicPublish},
		{"prefetch size", methods(1, &amqp.BasicQos{PrefetchSize: 9}), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (9)", amqp.IDBasicQos},
		{"flow", methods(1, &amqp.ChannelFlow{}), 540, "NOT_IMPLEMENTED - active=false", amqp.IDChannelFlow},
		{"recover", methods(1, &amqp.BasicRecover{}), 540, "NOT_IMPLEMENTED - requeue=false", amqp.IDBasicRecover},
		{"heartbeat on a channel", append([]byte{amqp.FrameHeartbeat, 0, 1}, 0, 0, 0, 0, 0xCE), 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>", 0},
		{"frame end", []byte{amqp.FrameMethod, 0, 1, 0, 0, 0, 1, 0, 0}, 501, "FRAME_ERROR - type 1, all octets = <<0>>: {invalid_frame_end_marker,0}", 0},
		{"frame type", []byte{4, 0, 1, 0, 0, 0, 1, 7, 0xCE}, 501, "FRAME_ERROR - type 4, all octets = <<7>>: unknown_frame", 0},
		{"frame size", amqp.AppendBodyStart(nil, 1, 131073), 501, "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}", 0},
		{"unknown method", append(append([]byte{1, 0, 1, 0, 0, 0, 4}, 0, 60, 3, 231), 0xCE), 503, "COMMAND_INVALID - unknown method 60.999", 60<<16 | 999},
		{"method cut", append([]byte{1, 0, 1, 0, 0, 0, 4, 0, 60, 0, 80}, 0xCE), 501, "FRAME_ERROR - cannot decode <<>>", amqp.IDBasicAck},
		{"method instead of header", methods(1, &amqp.BasicPublish{}, &amqp.BasicAck{}), 505, "expected content header for class 60, got non content header frame instead", amqp.IDBasicPublish},
		{"header without method", amqp.AppendContent(nil, 1, 0, nil), 505, "expected method frame, got non method frame instead", 0},
		{"body without header", amqp.AppendBodyEnd(amqp.AppendBodyStart(nil, 1, 0)), 505, "expected method frame, got non method frame instead", 0},
		{"body too long", overlong(), 501, "content body frame exceeds remaining content size", amqp.IDBasicPublish},
		{"properties", amqp.AppendContent(methods(1, &amqp.BasicPublish{}), 1, 0, []byte{0, 1}), 502, "content header: property flags", amqp.IDBasicPublish},
	}
	b := newFake()
	_, addr := start(t, b, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialRaw(t, addr)
			c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
			c.write(tt.wire)
			var m amqp.Method
			for m == nil || m.ID() == amqp.IDBasicConsumeOK {
				var err error
				if m, err = c.method(); err != nil {
					t.Fatal(err)
				}
			}
			got, ok := m.(*amqp.ConnectionClose)
			if !ok || got.ReplyCode != uint16(tt.code) || !strings.Contains(got.ReplyText, tt.text) {
				t.Fatalf("got %s %+v", m.ID(), m)
			}
			if got.ClassID != tt.id.Class() || got.MethodID != tt.id.Method() {
				t.Errorf("method %d.%d", got.ClassID, got.MethodID)
			}
			// Whatever comes now is ignored, but for close-ok.
			if tt.code != amqp.FrameError {
				c.write(methods(1, &amqp.QueueDeclare{Queue: "late"}, &amqp.ChannelOpen{}))
			}
			c.send(0, &amqp.ConnectionCloseOK{})
			if strings.Contains(tt.text, "frame_end") || strings.Contains(tt.text, "too_large") { // no frame can be told apart after one
				_ = c.Close()
				return
			}
			c.expectEOF()
		})
	}
	if b.queues["late"] != nil {
		t.Error("a method after connection.close took effect")
	}
}

// overlong is a publish with more body than its header says.
func overlong() []byte {
	b := amqp.AppendMethod(nil, 1, &amqp.BasicPublish{})
	b = amqp.AppendContent(b, 1, 1, nil)
	return amqp.AppendBodyEnd(append(amqp.AppendBodyStart(b, 1, 2), "ab"...))
}

func TestChannelExceptions(t *testing.T) {
	_, addr := start(t, newFake(), func(c *Config) { c.MessageBytesMax = 1000 })
	c := dialRaw(t, addr)
	c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	c.call(1, &amqp.QueueDeclare{Queue: "q"}, amqp.IDQueueDeclareOK)
	c.call(1, &amqp.ConfirmSelect{}, amqp.IDConfirmSelectOK)
	c.write(publishFrames(&amqp.BasicPublish{RoutingKey: "q"}, "held"))
	c.expect(amqp.IDBasicAck)
	c.call(1, &amqp.BasicGet{Queue: "q"}, amqp.IDBasicGetOK)

	// Too large: the rest of the content is already on its way and must be ignored.
	c.write(publishFrames(&amqp.BasicPublish{RoutingKey: "q"}, strings.Repeat("x", 1001)))
	c.write(publishFrames(&amqp.BasicPublish{RoutingKey: "q"}, "ignored"))
	c.send(1, &amqp.QueueDeclare{Queue: "ignored"})
	m := c.expect(amqp.IDChannelClose).(*amqp.ChannelClose)
	if want := "PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000"; m.ReplyText != want || m.ReplyCode != 406 {
		t.Errorf("got %+v", m)
	}
	c.send(1, &amqp.ChannelCloseOK{})
	// The same number again, at once; what the old channel held is back.
	c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	ok := c.call(1, &amqp.QueueDeclare{Queue: "q", Passive: true}, amqp.IDQueueDeclareOK).(*amqp.QueueDeclareOK)
	if ok.MessageCount != 1 {
		t.Errorf("%d messages", ok.MessageCount)
	}
	// Both close at once.
	c.send(1, &amqp.BasicAck{DeliveryTag: 1})
	c.send(1, &amqp.ChannelClose{})
	c.expect(amqp.IDChannelClose)
	c.expect(amqp.IDChannelCloseOK)
	c.send(1, &amqp.ChannelCloseOK{})
	c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	c.call(1, &amqp.AccessRequest{}, amqp.IDAccessRequestOK)
	c.call(1, &amqp.BasicCancel{ConsumerTag: "unknown"}, amqp.IDBasicCancelOK)
	c.call(1, &amqp.ChannelClose{}, amqp.IDChannelCloseOK)
	c.call(0, &amqp.ConnectionClose{ReplyCode: 200}, amqp.IDConnectionCloseOK)
	c.expectEOF()
}

func TestHandshakeErrors(t *testing.T) {
	_, addr := start(t, newFake(), func(c *Config) { c.ConnectionsMax = 100 })
	tests := []struct {
		name string
		do   func(c *rawConn)
		code amqp.Code
		text string
	}{
		{"mechanism", func(c *rawConn) { c.send(0, &amqp.ConnectionStartOK{Mechanism: "MAGIC"}) },
			503, "COMMAND_INVALID - unknown authentication mechanism 'MAGIC'"},
		{"PLAIN", func(c *rawConn) { c.send(0, &amqp.ConnectionStartOK{Mechanism: "PLAIN", Response: "x"}) },
			502, "PLAIN response lacks"},
		{"AMQPLAIN", func(c *rawConn) { c.send(0, &amqp.ConnectionStartOK{Mechanism: "AMQPLAIN"}) },
			502, "AMQPLAIN response lacks LOGIN"},
		{"password", func(c *rawConn) { c.send(0, startOK("wrong")) },
			403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."},
		{"frame_max high", tuneOK(2047, 131073),
			530, "NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"},
		{"frame_max low", tuneOK(2047, 4095),
			530, "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"},
		{"channel_max", tuneOK(0, 4096),
			530, "NOT_ALLOWED - negotiated channel_max = 0 is higher than the maximum allowed value (2047)"},
		{"vhost", func(c *rawConn) {
			tuneOK(10, 4096)(c)
			c.send(0, &amqp.ConnectionOpen{VirtualHost: "none"})
		}, 530, "NOT_ALLOWED - vhost none not found"},
		{"order", func(c *rawConn) { c.send(0, &amqp.ConnectionOpen{VirtualHost: "/"}) },
			503, "COMMAND_INVALID - expected connection.start-ok, got connection.open"},
		{"channel", func(c *rawConn) { c.send(1, &amqp.ChannelOpen{}) }, 505, "frame of type 1 on channel 1 before"},
		{"size", func(c *rawConn) { c.write(amqp.AppendBodyStart(nil, 0, 100_000)) }, 501, "{frame_too_large,100000,8184}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			c := newRaw(t, nc)
			tt.do(c)
			m := c.expect(amqp.IDConnectionClose).(*amqp.ConnectionClose)
			if m.ReplyCode != uint16(tt.code) || !strings.Contains(m.ReplyText, tt.text) {
				t.Errorf("got %+v", m)
			}
			if tt.code == amqp.FrameError {
				_ = c.Close()
				return
			}
			c.send(0, &amqp.ConnectionCloseOK{})
			c.expectEOF()
		})
	}
}

func tuneOK(channelMax uint16, frameMax uint32) func(c *rawConn) {
	return func(c *rawConn) {
		c.call(0, startOK("guest"), amqp.IDConnectionTune)
		c.send(0, &amqp.ConnectionTuneOK{ChannelMax: channelMax, FrameMax: frameMax})
	}
}

func TestProtocolHeader(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	for _, in := range []string{"AMQP\x00\x01\x00\x00", "GET / HTTP/1.1\r\n\r\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(in)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 8)
		if n, err := c.Read(got); err != nil || !bytes.Equal(got[:n], []byte("AMQP\x00\x00\x09\x01")) {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
		_ = c.Close()
	}
	// A client that closes in the middle.
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, nc)
	c.call(0, &amqp.ConnectionClose{}, amqp.IDConnectionCloseOK)
	c.expectEOF()
}

func TestConnectionLimit(t *testing.T) {
	_, addr := start(t, newFake(), func(c *Config) { c.ConnectionsMax = 1 })
	dialRaw(t, addr)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newRaw(t, nc)
	tuneOK(10, 4096)(c)
	m := c.call(0, &amqp.ConnectionOpen{VirtualHost: "/"}, amqp.IDConnectionClose).(*amqp.ConnectionClose)
	if want := "NOT_ALLOWED - connection refused: node connection limit (1) is reached"; m.ReplyText != want {
		t.Error(m.ReplyText)
	}
}

// TestFramesInPieces sends every byte alone: frames may be cut anywhere.
func TestFramesInPieces(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	c := dialRaw(t, addr)
	c.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	c.call(1, &amqp.QueueDeclare{Queue: "q"}, amqp.IDQueueDeclareOK)
	for _, b := range publishFrames(&amqp.BasicPublish{RoutingKey: "q"}, "piecemeal") {
		c.write([]byte{b})
	}
	c.call(1, &amqp.BasicGet{Queue: "q", NoAck: true}, amqp.IDBasicGetOK)
	f, err := c.frame()
	if err != nil {
		t.Fatal(err)
	}
	if h, err := amqp.ParseContent(f.Payload); err != nil || h.BodySize != 9 || message.PeekFlags(h.Properties) != 0 {
		t.Errorf("%+v, %v", h, err)
	}
	if f, err = c.frame(); err != nil || string(f.Payload) != "piecemeal" {
		t.Errorf("%q, %v", f.Payload, err)
	}
}

func TestConfigValidate(t *testing.T) {
	bad := []func(*Config){
		func(c *Config) { c.ChannelMax = 0 },
		func(c *Config) { c.FrameMax = 100 },
		func(c *Config) { c.Heartbeat = 1 },
		func(c *Config) { c.MessageBytesMax = 0 },
	}
	for i, change := range bad {
		cfg := Defaults()
		change(&cfg)
		if _, err := New(cfg, nil); err == nil {
			t.Errorf("setting %d is accepted", i)
		}
	}
}
