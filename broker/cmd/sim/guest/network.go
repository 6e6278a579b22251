//go:build wasip1

package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// network is the machine's, as cluster.Network.
type network struct{}

// dialTimeout is how long a connection may take.
const dialTimeout = time.Second

func (network) Listen(addr string) (net.Listener, error) {
	p, n := at(addr)
	f := os.NewFile(uintptr(netListen(p, n)), addr)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return &listener{l, tcpAddr(addr)}, nil
}

func (network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	p, n := at(addr)
	c, err := connOf(int32(netDial(p, n)))
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(dialTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	_ = c.SetDeadline(until)
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	var answer [1]byte
	_, err = c.Read(answer[:])
	if err == nil && answer[0] != 0 {
		err = syscall.Errno(answer[0])
	}
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: tcpAddr(addr), Err: err}
	}
	_ = c.SetDeadline(time.Time{})
	return &conn{c, tcpAddr("0.0.0.0:0"), tcpAddr(addr)}, nil
}

// connOf makes a connection of a descriptor.
func connOf(fd int32) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	return net.FileConn(f)
}

func tcpAddr(s string) *net.TCPAddr {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(a)
}

// listener and conn know their addresses, which those of the library do not.
type listener struct {
	net.Listener
	addr *net.TCPAddr
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{c, l.addr, tcpAddr(peerOf(c))}, nil
}

func peerOf(c net.Conn) string {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return ""
	}
	b := make([]byte, 64)
	var n int64
	_ = raw.Control(func(fd uintptr) {
		p, m := place(b)
		n = netPeer(int32(fd), p, m)
	})
	return string(b[:max(n, 0)])
}

type conn struct {
	net.Conn
	local, remote *net.TCPAddr
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }
