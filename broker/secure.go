package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/warren-mq/warren/broker/internal/certs"
	"github.com/warren-mq/warren/broker/internal/cluster"
)

// sources are the certificates of the node, for each use: what is asked of the other side differs.
type sources struct {
	clients *certs.Source // nil: no listener with TLS
	http    *certs.Source // nil: plain
	peers   *certs.Source // nil: plain
}

// load reads the files for everything that is to have TLS.
func (t TLS) load(cfg Config) (s sources, err error) {
	of := func(wanted bool, verify certs.Verify) *certs.Source {
		if !wanted || err != nil {
			return nil
		}
		var src *certs.Source
		src, err = certs.Load(certs.Config{
			Cert: t.Cert, Key: t.Key, CA: t.CA, Verify: verify, Min: t.Min, Logger: cfg.Logger.With("node", cfg.Name),
		})
		return src
	}
	s.clients = of(t.Listen != "", certs.Verify(t.Verify))
	s.http = of(t.HTTP, certs.VerifyNone)
	s.peers = of(t.Peers, certs.VerifyRequire)
	if err == nil && t.Peers && t.CA == "" {
		err = errors.New("TLS between nodes needs the certificate of the authority that signs theirs")
	}
	return s, err
}

// any is a source that is in use, nil if there is none.
func (s sources) any() *certs.Source {
	for _, src := range []*certs.Source{s.clients, s.http, s.peers} {
		if src != nil {
			return src
		}
	}
	return nil
}

// secureNetwork is a network on which both sides show a certificate of the same authority.
type secureNetwork struct {
	cluster.Network
	certs *certs.Source
}

// Listen implements cluster.Network. The handshake is a part of the first read, which has a deadline.
func (n secureNetwork) Listen(addr string) (net.Listener, error) {
	l, err := n.Network.Listen(addr)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(l, n.certs.Config()), nil
}

// Dial implements cluster.Network. The other side must be the host that was meant.
func (n secureNetwork) Dial(ctx context.Context, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	raw, err := n.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, peerHandshakeTimeout)
	defer cancel()
	c := tls.Client(raw, n.certs.Dial(host))
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("TLS with node at %s: %w", addr, err)
	}
	return c, nil
}
