package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// Everything arrives in order, the last of it at the latest with Close.
func TestCoalescedWritesArrive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	got := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- nil
			return
		}
		_ = c.SetDeadline(time.Now().Add(dialTimeout))
		b, _ := io.ReadAll(c)
		got <- b
	}()
	c, err := dialCoalescing(dialTimeout)("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for i := range 200_000 { // more than may wait
		b := []byte{byte(i), byte(i >> 8), byte(i >> 16), 0, 1, 2, 3, 4, 5, 6, 7, 8}
		want = append(want, b...)
		if n, err := c.Write(b); n != len(b) || err != nil {
			t.Fatalf("write %d: %d, %v", i, n, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if b := <-got; !bytes.Equal(b, want) {
		t.Fatalf("%d bytes arrived, want %d, or they differ", len(b), len(want))
	}
	if _, err := c.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("write after close: %v", err)
	}
}

// Who writes learns that the socket has failed.
func TestACoalescedWriteFails(t *testing.T) {
	ours, theirs := net.Pipe()
	c := newCoalescing(ours)
	_ = theirs.Close()
	for {
		if _, err := c.Write([]byte("x")); err != nil {
			break
		}
	}
	_ = c.Close()
}
