package failure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/warren-mq/warren/services/events"
)

func TestASwitchIsOffUntilItIsTurnedOnAndGoesOffByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(events.GroupProduct)
		if _, on := s.Value(SlowConsumer); on || s.Hit(Poison) || (*Set)(nil).Hit(Poison) {
			t.Error("something is on")
		}
		for _, c := range []struct {
			kind  Kind
			value int64
			d     time.Duration
			want  error
		}{
			{SlowConsumer, 0, 0, nil},
			{SlowConsumer, 10_001, 0, ErrValue},
			{SlowConsumer, -1, 0, ErrValue},
			{SlowConsumer, 1, TimeMax + 1, ErrValue},
			{GatewayDown, 0, 0, ErrUnknown}, // not here
			{"17", 0, 0, ErrUnknown},
		} {
			if err := s.TurnOn(c.kind, c.value, c.d); !errors.Is(err, c.want) {
				t.Errorf("%s %d %s: %v", c.kind, c.value, c.d, err)
			}
		}
		begin := time.Now()
		if err := s.Delay(t.Context(), SlowConsumer); err != nil || time.Since(begin) != 300*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
		if l := s.List(); len(l.Items) == 0 || s.All()[SlowConsumer].Hits != 1 {
			t.Errorf("%+v", l)
		}
		time.Sleep(DefaultTime)
		if _, on := s.Value(SlowConsumer); on {
			t.Error("it is still on")
		}
		died := 0
		s.Die = func() { died++ }
		if err := s.TurnOn(ConsumerDies, 0, 0); err != nil {
			t.Fatal(err)
		}
		s.Kill(ConsumerDies)
		s.Kill(ConsumerDies)
		if died != 1 {
			t.Errorf("died %d times", died)
		}
	})
}

func TestCatalogue(t *testing.T) {
	name := regexp.MustCompile(`^\d\d-[a-z-]+$`)
	for i, s := range Catalogue() {
		if !name.MatchString(string(s.Kind)) || string(s.Kind)[:2] != []string{
			"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16",
		}[i] || len(s.At) == 0 || s.Title == "" || s.Shows == "" || (s.Unit == "") != (s.Max == 0) || s.Default > s.Max {
			t.Errorf("%+v", s)
		}
	}
}

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return "amqp://guest:guest@" + l.Addr().String() + "/"
}

func TestLink(t *testing.T) {
	s := New(events.GroupShipment)
	l, address, err := NewLink(t.Context(), s, echo(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		var got [4]byte
		if _, err := io.ReadFull(c, got[:]); err != nil || !bytes.Equal(got[:], []byte("ping")) {
			t.Fatalf("%s %v", got, err)
		}
		return c
	}
	for _, kind := range []Kind{IdleCut, Reconnects} {
		c := dial()
		if err := s.TurnOn(kind, 1, 0); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %d bytes, %v", kind, n, err)
		}
		s.TurnOff(kind)
	}
	c := dial()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives its link")
	}
	if address == "" {
		t.Error("no address")
	}
	if _, _, err := NewLink(t.Context(), s, "amqps://b:5671/"); err == nil {
		t.Error("a link for TLS")
	}
}
