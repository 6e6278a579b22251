package amqp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/message"
)

// fill gives each argument of a method a value of its own.
func fill(m Method, seed int) {
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool((i+seed)%2 == 0)
		case reflect.String:
			f.SetString(strings.Repeat("s", i+seed))
		case reflect.Slice:
			f.Set(reflect.ValueOf(message.Table{{Key: "k", Value: int32(seed)}}))
		default:
			f.SetUint(uint64(i + seed + 1))
		}
	}
}

func TestEveryMethodRoundTrips(t *testing.T) {
	d := NewDecoder()
	for id, name := range methodNames {
		for seed := range 2 {
			in := new(kept).place(id)
			fill(in, seed)
			wire := AppendMethod(nil, 7, in)
			f, n, _, err := Next(wire, FrameMinSize)
			if err != nil || n != len(wire) || f.Type != FrameMethod || f.Channel != 7 {
				t.Fatalf("%s: frame %+v, %d bytes, %v", name, f, n, err)
			}
			out, err := d.Method(f.Payload)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if out.ID() != id || id.String() != name || !reflect.DeepEqual(out, Method(in)) {
				t.Errorf("%s: got %+v, want %+v", name, out, in)
			}
			for cut := range len(f.Payload) {
				if _, err := d.Method(f.Payload[:cut]); err == nil {
					t.Errorf("%s: %d of %d bytes are accepted", name, cut, len(f.Payload))
				}
			}
			if _, err := d.Method(append(bytes.Clone(f.Payload), 0)); err == nil {
				t.Errorf("%s: a byte too many is accepted", name)
			}
		}
	}
}

func TestMethodGoldenBytes(t *testing.T) {
	tests := []struct {
		m   Method
		hex string
	}{
		{&ConnectionTune{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60}, "000a001e" + "07ff" + "00020000" + "003c"},
		{&ConnectionClose{ReplyCode: 320, ReplyText: "x", ClassID: 60, MethodID: 40}, "000a0032" + "0140" + "0178" + "003c0028"},
		{&QueueDeclare{Queue: "q", Durable: true, NoWait: true}, "0032000a" + "0000" + "0171" + "12" + "00000000"},
		{&ExchangeUnbindOK{}, "00280033"},
		{&BasicPublish{Exchange: "e", RoutingKey: "k", Mandatory: true}, "003c0028" + "0000" + "0165" + "016b" + "01"},
		{&BasicDeliver{ConsumerTag: "c", DeliveryTag: 5, Redelivered: true, Exchange: "", RoutingKey: "q"},
			"003c003c" + "0163" + "0000000000000005" + "01" + "00" + "0171"},
		{&BasicNack{DeliveryTag: 1, Multiple: true, Requeue: true}, "003c0078" + "0000000000000001" + "03"},
		{&BasicGetEmpty{}, "003c0048" + "00"},
		{&ConfirmSelect{NoWait: true}, "0055000a" + "01"},
		{&ConnectionUpdateSecret{NewSecret: "s", Reason: "r"}, "000a0046" + "0000000173" + "0172"},
		{&AccessRequestOK{Ticket: 1}, "001e000b" + "0001"},
		{&ConnectionStartOK{Mechanism: "PLAIN", Response: "\x00a\x00b", Locale: "en_US"},
			"000a000b" + "00000000" + "05504c41494e" + "00000004" + "00610062" + "05656e5f5553"},
	}
	for _, tt := range tests {
		t.Run(tt.m.ID().String(), func(t *testing.T) {
			if got := hex.EncodeToString(tt.m.Append(nil)); got != tt.hex {
				t.Errorf("got  %s\nwant %s", got, tt.hex)
			}
		})
	}
}

func TestMethodErrors(t *testing.T) {
	tests := []struct {
		name, payload string
		code          Code
		want          string
	}{
		{"short", "\x00\x0a", FrameError, "FRAME_ERROR - type 1, all octets = <<0,10>>: unknown_frame"},
		{"unknown", "\x00\x3c\x03\xe7", CommandInvalid, "COMMAND_INVALID - unknown method 60.999"},
		{"cut", "\x00\x3c\x00\x50\x00", FrameError, "FRAME_ERROR - cannot decode <<0>>"},
		{"long string", "\x00\x0a\x00\x15\xff\xff\xff\xff", FrameError, "cannot decode <<255,255,255,255>>"},
		{"table", "\x00\x55\x00\x0a", FrameError, "cannot decode <<>>"},
		{"bad table", "\x00\x32\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x03\x01a?", SyntaxError, "unknown field type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewDecoder().Method([]byte(tt.payload))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != tt.code || !strings.Contains(e.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	wire := AppendMethod(nil, 1, &BasicAck{DeliveryTag: 1})
	wire = AppendHeartbeat(wire)
	wire = append(AppendBodyEnd(append(AppendBodyStart(wire, 2, 3), "abc"...)), 1, 0, 0)
	var got []Frame
	b := wire
	for {
		f, n, need, err := Next(b, FrameMinSize)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if need <= len(b) {
				t.Errorf("need %d of %d", need, len(b))
			}
			break
		}
		got, b = append(got, f), b[n:]
	}
	if len(got) != 3 || got[1].Type != FrameHeartbeat || string(got[2].Payload) != "abc" || len(b) != 3 {
		t.Errorf("frames %+v, %d bytes left", got, len(b))
	}
	for i := range len(wire) - 3 {
		b := wire[:i]
		for len(b) > 0 {
			_, n, need, err := Next(b, FrameMinSize)
			if err != nil || n == 0 && (need <= len(b) || need > len(wire)) {
				t.Fatalf("of %d bytes: need %d, %v", len(b), need, err)
			}
			if n == 0 {
				break
			}
			b = b[n:]
		}
	}
}

func TestNextErrors(t *testing.T) {
	tests := []struct{ name, wire, want string }{
		{"type", "\x04\x00\x01\x00\x00\x00\x00\xce", "FRAME_ERROR - type 4, all octets = <<>>: unknown_frame"},
		{"size", "\x03\x00\x01\xff\xff\xff\xff", "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,4294967295,4088}"},
		{"end", "\x08\x00\x00\x00\x00\x00\x00\x00", "type 8, all octets = <<>>: {invalid_frame_end_marker,0}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := Next([]byte(tt.wire), FrameMinSize)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	// The slack that other brokers grant too.
	slack := append(AppendBodyStart(nil, 1, FrameMinSize), make([]byte, FrameMinSize)...)
	if _, n, _, err := Next(AppendBodyEnd(slack), FrameMinSize); err != nil || n != len(slack)+1 {
		t.Errorf("a payload of the agreed size: %d, %v", n, err)
	}
	over := append(AppendBodyStart(nil, 1, FrameMinSize+1), make([]byte, FrameMinSize+1)...)
	if _, _, _, err := Next(AppendBodyEnd(over), FrameMinSize); err == nil {
		t.Error("a payload beyond the slack is accepted")
	}
}

func TestContent(t *testing.T) {
	props := message.Properties{Flags: message.HasDeliveryMode, DeliveryMode: 2}.Append(nil)
	for _, p := range [][]byte{props, nil} {
		f, _, _, err := Next(AppendContent(nil, 3, 1<<33, p), FrameMinSize)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseContent(f.Payload)
		if err != nil || c.Class != ClassBasic || c.BodySize != 1<<33 || !bytes.Equal(c.Properties[:2], append(p, 0, 0)[:2]) {
			t.Errorf("got %+v, %v", c, err)
		}
	}
	for _, bad := range []string{"", "003c", "003c0001" + "0000000000000000" + "0000", "003c0000" + "0000000000000000" + "1000"} {
		b, err := hex.DecodeString(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseContent(b); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestCodes(t *testing.T) {
	if s := NotFound.String(); s != "NOT_FOUND" || NotFound.Hard() || !NotAllowed.Hard() {
		t.Error("names or severities", s)
	}
	if s := (&Error{Code: ConnectionForced, Text: "x"}).Error(); s != "CONNECTION_FORCED - x" {
		t.Error(s)
	}
}

func TestCheckHeader(t *testing.T) {
	h := Header()
	if err := CheckHeader(h[:]); err != nil {
		t.Error(err)
	}
	if err := CheckHeader([]byte("AMQP\x01\x01\x00\x09")); err != nil {
		t.Error(err)
	}
	for in, want := range map[string]string{
		"AMQP\x00\x01\x00\x00": "version 0 1 0 0", "GET / HT": "HTTP", "\x16\x03\x01\x00\x00\x00\x00\x00": "TLS", "whatever": "whatever",
	} {
		if err := CheckHeader([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add(AppendMethod(nil, 1, &BasicAck{DeliveryTag: 1}))
	f.Add(AppendContent(nil, 1, 10, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, need, err := Next(b, FrameMinSize)
		switch {
		case err != nil:
		case n == 0 && need <= len(b), n > len(b), n > 0 && len(fr.Payload) != n-FrameOverhead:
			t.Fatalf("length %d, need %d of %d bytes", n, need, len(b))
		case n > 0 && fr.Type == FrameHeader:
			_, _ = ParseContent(fr.Payload)
		}
	})
}

func FuzzMethod(f *testing.F) {
	for id := range methodNames {
		m := new(kept).place(id)
		fill(m, 1)
		f.Add(m.Append(nil))
	}
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := d.Method(b)
		if err != nil {
			return
		}
		wire := m.Append(nil)
		again, err := NewDecoder().Method(wire)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Append(nil), wire) {
			t.Fatalf("%s: second encoding differs", m.ID())
		}
	})
}

func BenchmarkDecodePublish(b *testing.B) {
	wire := (&BasicPublish{Exchange: "orders", RoutingKey: "order.placed"}).Append(nil)
	d := NewDecoder()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Method(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendDeliver(b *testing.B) {
	buf := make([]byte, 0, math.MaxUint16)
	props := message.Properties{Flags: message.HasDeliveryMode, DeliveryMode: 2}.Append(nil)
	body := make([]byte, 100)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		m := BasicDeliver{ConsumerTag: "ctag-1", DeliveryTag: i, Exchange: "orders", RoutingKey: "order.placed"}
		out, at := BeginFrame(buf[:0], FrameMethod, 1)
		out = EndFrame(m.Append(out), at)
		out = AppendContent(out, 1, len(body), props)
		buf = AppendBodyEnd(append(AppendBodyStart(out, 1, len(body)), body...))
	}
}
