package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/internal/process"
)

const (
	soon  = 100 * time.Millisecond // nothing must come within it
	later = 5 * time.Second        // something must
)

// wire is a connection from node a to node b, both ends.
func wire(t *testing.T) (n *network, near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	front, err := process.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	n = newNetwork([]string{"a", "b"}, front, []string{"127.0.0.1:1", l.Addr().String()})
	t.Cleanup(n.close)
	if err := n.open(1); err != nil {
		t.Fatal(err)
	}
	if near, err = net.Dial("tcp", front[1]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = near.Close() })
	hello := `{"Name":"a"}`
	head := binary.BigEndian.AppendUint32([]byte("WARREN\x00\x01"), uint32(len(hello)))
	if _, err := near.Write(append(head, hello...)); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	expect(t, far, string(head)+hello)
	return n, near, far
}

func say(t *testing.T, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(later))
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

func expectNothing(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	b := make([]byte, 10)
	if n, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %q, %v; want nothing", b[:n], err)
	}
}

func TestCutOneWay(t *testing.T) {
	n, near, far := wire(t)
	say(t, near, "one")
	expect(t, far, "one")
	there := [][2]int{{0, 1}}
	n.change(there, func(l *link) { l.cuts++ })
	say(t, near, "two")
	expectNothing(t, far)
	say(t, far, "back")
	expect(t, near, "back")
	n.change(there, func(l *link) { l.cuts-- })
	expect(t, far, "two")
}

func TestReset(t *testing.T) {
	n, near, _ := wire(t)
	n.reset([][2]int{{1, 0}})
	_ = near.SetReadDeadline(time.Now().Add(later))
	if _, err := near.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after a reset: %v", err)
	}
}

// TestShut wants a dead node's port to refuse connections: that is how others know.
func TestShut(t *testing.T) {
	n, _, _ := wire(t)
	n.shut(1)
	if c, err := net.Dial("tcp", n.relays[1].addr); err == nil {
		_ = c.Close()
		t.Error("somebody listens for a dead node")
	}
	if err := n.open(1); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", n.relays[1].addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
