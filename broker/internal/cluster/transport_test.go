package cluster

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"
)

const deadline = 20 * time.Second

// told is a Handler that hands on what it hears.
type told struct {
	frames chan string
	hold   chan struct{} // if not nil, a frame waits for it
	ups    chan string
}

func newTold() *told { return &told{frames: make(chan string, 100), ups: make(chan string, 4096)} }

func (h *told) Frame(_ uint64, _ byte, payload []byte) {
	h.frames <- string(payload)
	if h.hold != nil {
		<-h.hold
	}
}

func (h *told) Bulk(uint64, byte, []byte, io.Reader) (func([]byte), error) { return nil, io.EOF }
func (h *told) Call(Identity, []byte) []byte                               { return []byte("here") }
func (h *told) Reset(uint64)                                               {}
func (h *told) Down(uint64, bool)                                          { h.ups <- "down" }
func (h *told) Up(uint64)                                                  { h.ups <- "up" }

func open(t *testing.T, replica uint64, h Handler) *Transport {
	t.Helper()
	tr, err := Listen(Options{
		Listen: "127.0.0.1:0", Secret: "s", Network: TCP, Handler: h, Logger: slog.New(slog.DiscardHandler),
		Identity: Identity{Replica: replica, ClusterID: "c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tr.SetAddr(tr.Addr().String())
	tr.Start()
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

func next(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(deadline):
		t.Fatal("nothing came")
		return ""
	}
}

// A node that lost its data is another replica at the same address. What the others still
// send to the one it was must not reach it.
func TestFramesReachOnlyTheReplicaTheyAreMeantFor(t *testing.T) {
	h := newTold()
	a, b := open(t, 1, newTold()), open(t, 3, h)
	addr := b.Addr().String()
	a.SetPeers(map[uint64]string{2: addr, 3: addr}) // it was 2 before
	for got := ""; got != "for 3"; {
		a.Send(2, FirstKind, []byte("for 2"))
		a.Send(3, FirstKind, []byte("for 3"))
		select {
		case got = <-h.frames:
			if got != "for 3" {
				t.Fatalf("replica 3 got %q", got)
			}
		case <-time.After(heartbeatInterval): // not connected yet
		case <-t.Context().Done():
		}
	}
	// Another node's calls are for whoever is there.
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if reply, err := a.Call(ctx, addr, nil); err != nil || string(reply) != "here" {
		t.Fatalf("call: %q, %v", reply, err)
	}
	if c, err := a.dial(ctx, addr, purposeStream, 2); err != nil {
		t.Fatal(err)
	} else if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("a stream for another replica stays open")
	}
}

// A replica that opens another stream while frames of its last one are being handled.
func TestStreamsOfAReplicaFollowEachOther(t *testing.T) {
	h := newTold()
	h.hold = make(chan struct{})
	tr := open(t, 1, h)
	stream := func(frame string) net.Conn {
		c, err := net.Dial("tcp", tr.Addr().String()) //nolint:noctx // 127.0.0.1
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := writeHello(c, hello{Identity: Identity{Replica: 2, ClusterID: "c"}, Purpose: purposeStream, To: 1}, "s"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(appendFrame(nil, FirstKind, []byte(frame))); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := stream("one")
	if got := next(t, h.frames); got != "one" {
		t.Fatalf("got %q", got)
	}
	stream("two")
	_ = first.SetReadDeadline(time.Now().Add(deadline))
	if _, err := bufio.NewReader(first).ReadByte(); err == nil || isTimeout(err) {
		t.Fatalf("the first stream goes on beside the second: %v", err)
	}
	if len(h.frames) > 0 {
		t.Fatal("a frame of the second stream came while one of the first was handled")
	}
	close(h.hold)
	if got := next(t, h.frames); got != "two" {
		t.Fatalf("got %q", got)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // as the connection returns it
	return ok && ne.Timeout()
}

// What the failure detector says last is what is true.
func TestUpAndDownComeInOrder(t *testing.T) {
	h := newTold()
	tr := open(t, 1, h)
	p := newPeer(tr, 2, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			p.setDown(true)
		}
	}()
	last := ""
	for running := true; running; {
		p.heard()
		select {
		case last = <-h.ups:
		case <-done:
			running = false
		}
	}
	for len(h.ups) > 0 {
		last = <-h.ups
	}
	if down := !p.alive(); down != (last == "down") {
		t.Fatalf("told %q last, down is %v", last, down)
	}
}
