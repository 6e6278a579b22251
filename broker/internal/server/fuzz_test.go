package server

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/message"
)

// FuzzAssembly puts messages together from frames in any order.
func FuzzAssembly(f *testing.F) {
	const bytesMax = 1000
	props := message.Properties{Flags: message.HasContentType | message.HasHeaders, ContentType: "a/b", Headers: message.Table{{Key: "k", Value: int32(1)}}}.Append(nil)
	f.Add(publishFrames(&amqp.BasicPublish{RoutingKey: "q"}, "hello"))
	f.Add(amqp.AppendContent(nil, 1, 0, props))
	f.Add(overlong())
	f.Add(amqp.AppendBodyEnd(append(amqp.AppendBodyStart(amqp.AppendContent(methods(1, &amqp.BasicPublish{}), 1, 2, props), 1, 1), 'x')))
	d := amqp.NewDecoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		var a assembly
		for {
			fr, n, _, err := amqp.Next(b, amqp.FrameMinSize)
			if n == 0 {
				return
			}
			b = b[n:]
			if err != nil {
				continue
			}
			if m, _ := d.Method(fr.Payload); fr.Type == amqp.FrameMethod {
				if p, ok := m.(*amqp.BasicPublish); ok && !a.open() {
					a.begin(p)
				}
				continue
			}
			complete, err := a.add(fr, bytesMax)
			switch {
			case err != nil && complete:
				t.Fatal("complete with an error")
			case err != nil:
				a = assembly{}
			case len(a.msg.Body) > bytesMax || len(a.msg.Body) > a.want:
				t.Fatalf("%d bytes of %d, at most %d", len(a.msg.Body), a.want, bytesMax)
			case complete:
				if m, _ := a.take(); message.CheckProperties(m.Properties) != nil {
					t.Fatal("a message with bad properties")
				}
			}
		}
	})
}

// FuzzSession sends any bytes to a connection, before or after its handshake: it must
// end, and let go of all it had.
func FuzzSession(f *testing.F) {
	f.Add(true, publishFrames(&amqp.BasicPublish{RoutingKey: "q"}, "hello"))
	f.Add(true, methods(1, &amqp.QueueDeclare{Queue: "q"}, &amqp.BasicConsume{Queue: "q"}, &amqp.BasicGet{Queue: "q"}, &amqp.ChannelClose{}))
	f.Add(true, methods(0, &amqp.ConnectionClose{}, &amqp.ConnectionCloseOK{}))
	f.Add(true, methods(1, &amqp.TxSelect{}, &amqp.BasicAck{Multiple: true}, &amqp.TxCommit{}))
	f.Add(true, []byte{9, 0, 1, 0, 0, 0, 1, 0, 0xCE})
	f.Add(false, methods(0, startOK("guest"), &amqp.ConnectionTuneOK{ChannelMax: 1, FrameMax: 4096}, &amqp.ConnectionOpen{VirtualHost: "/"}))
	f.Add(false, methods(0, startOK("wrong")))
	cfg := Defaults()
	f.Fuzz(func(t *testing.T, loggedIn bool, b []byte) {
		srv, err := New(cfg, From(newFake()))
		if err != nil {
			t.Fatal(err)
		}
		client, peer := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			newSession(srv, peer, nil).run(context.Background())
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		_ = client.SetWriteDeadline(time.Now().Add(testTimeout))
		h := amqp.Header()
		_, _ = client.Write(h[:])
		if loggedIn {
			_, _ = client.Write(methods(0, startOK("guest"), &amqp.ConnectionTuneOK{ChannelMax: 9, FrameMax: 8192}, &amqp.ConnectionOpen{VirtualHost: "/"}))
			_, _ = client.Write(methods(1, &amqp.ChannelOpen{}))
		}
		_, _ = client.Write(b) // the server may have closed already
		_ = client.Close()
		select {
		case <-ended:
		case <-time.After(testTimeout):
			t.Fatal("the session does not end")
		}
	})
}
