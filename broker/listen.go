package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// TLS configures what of a node has TLS. Files are PEM; they are read again when they change.
type TLS struct {
	Listen    string // host:port of a second listener for AMQP clients; none if empty
	Cert, Key string // the node's certificate with its chain, and its key
	CA        string // who signs clients' certificates, and other nodes'
	// HTTP serves the management API with TLS only; Peers speaks with other nodes so, each
	// side showing a certificate that CA signs, with the host of the node's peer address.
	HTTP, Peers bool
	// Verify is none (default), peer (a client's certificate, if it has one, must be good)
	// or require (it must have one).
	Verify string
	Min    string // least version: 1.2 (default) or 1.3
	// Login says what of a verified certificate names the user of mechanism EXTERNAL:
	// distinguished_name (default), common_name, san_dns, san_email or san_uri.
	Login string
}

// prepare checks what can be checked before, and opens the addresses.
func (n *Node) prepare() (err error) {
	c := &n.cfg
	for _, p := range c.TrustedProxies {
		prefix, err := parsePrefix(p)
		if err != nil {
			return fmt.Errorf("trusted proxy %q: want an address or a network such as 10.0.0.0/8: %w", p, err)
		}
		n.proxies = append(n.proxies, prefix)
	}
	if n.certs, err = c.TLS.load(*c); err != nil {
		return err
	}
	if err := n.listenAMQP(); err != nil {
		return err
	}
	if n.httpL, err = c.net.Listen(c.HTTPListen); err != nil {
		return fmt.Errorf("HTTP address: %w", err)
	}
	// A restart on the same ports must not take others.
	c.HTTPListen = n.httpL.Addr().String()
	if c.MetricsListen != "" {
		if n.scrapeL, err = c.net.Listen(c.MetricsListen); err != nil {
			return fmt.Errorf("metrics address: %w", err)
		}
		c.MetricsListen = n.scrapeL.Addr().String()
	}
	if c.AMQPAdvertise == "" {
		c.AMQPAdvertise = c.Listen
	}
	if c.HTTPAdvertise == "" {
		c.HTTPAdvertise = c.HTTPListen
	}
	return nil
}

// parsePrefix reads a network, or a single address.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// listenAMQP opens the addresses for AMQP clients.
func (n *Node) listenAMQP() (err error) {
	c := &n.cfg
	if n.amqpL, err = c.net.Listen(c.Listen); err != nil {
		return fmt.Errorf("AMQP address: %w", err)
	}
	if addr := n.amqpL.Addr().String(); c.Listen != addr { // others read it meanwhile
		c.Listen = addr
	}
	if c.TLS.Listen == "" {
		return nil
	}
	if n.tlsL, err = c.net.Listen(c.TLS.Listen); err != nil {
		return fmt.Errorf("AMQPS address: %w", err)
	}
	if addr := n.tlsL.Addr().String(); c.TLS.Listen != addr {
		c.TLS.Listen = addr
	}
	return nil
}

// closeListeners closes those for AMQP clients, and others.
func (n *Node) closeListeners(others ...net.Listener) error {
	var errs []error
	for _, l := range append(others, n.amqpL, n.tlsL) {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// accept serves both listeners until one of them fails or ctx ends.
func (n *Node) accept(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var plain, secure error
	var both sync.WaitGroup
	if n.tlsL != nil {
		both.Go(func() {
			defer cancel()
			secure = n.amqp.ServeTLS(ctx, n.tlsL, n.certs.clients.Config())
		})
	}
	plain = n.amqp.Serve(ctx, n.amqpL)
	cancel()
	both.Wait()
	return errors.Join(plain, secure)
}
