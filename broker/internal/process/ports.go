package process

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are looked for below those that systems give to outgoing connections: a node that
// comes back must find its own.
const (
	portMin = 20000
	portMax = 32000
)

// FreePorts returns that many addresses of this machine on which nobody listens now.
func FreePorts(count int) ([]string, error) {
	var out []string
	used := map[int]bool{}
	for tries := 0; len(out) < count; tries++ {
		if tries == portMax-portMin {
			return nil, errors.New("no free ports")
		}
		p := portMin + rand.IntN(portMax-portMin)
		if used[p] {
			continue
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p))
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
		used[p] = true
		out = append(out, addr)
	}
	return out, nil
}
