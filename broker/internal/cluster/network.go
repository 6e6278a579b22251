package cluster

import (
	"context"
	"net"
)

// Network is how nodes listen and dial; addresses are host:port.
type Network interface {
	Listen(addr string) (net.Listener, error)
	// Dial fails with syscall.ECONNREFUSED if there is certainly nobody at addr.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP is the operating system's network.
var TCP Network = tcp{}

type tcp struct{}

func (tcp) Listen(addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", addr)
}

func (tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "tcp", addr)
}
