package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/node"
	"github.com/warren-mq/warren/broker/internal/proxy"
)

// arrive reads what may stand before the protocol header: what a proxy says of its
// client, and the handshake of TLS.
func (s *session) arrive(ctx context.Context) error {
	in := s.in
	if err := in.fillTo(proxy.SniffBytes); err != nil {
		return fmt.Errorf("protocol header: %w", err)
	}
	if proxy.Detected(in.cur.buf[:in.end]) {
		if err := s.proxied(); err != nil {
			return err
		}
	}
	if s.tls == nil {
		return nil
	}
	return s.secure(ctx)
}

// proxied takes the client's addresses from a proxy that is trusted.
func (s *session) proxied() error {
	in := s.in
	if !trusted(s.srv.cfg.TrustedProxies, s.socket.RemoteAddr()) {
		return fmt.Errorf("PROXY protocol header from %s, which is not among the trusted sources", s.socket.RemoteAddr())
	}
	for {
		h, n, err := proxy.Parse(in.cur.buf[:in.end])
		if errors.Is(err, proxy.ErrShort) {
			err = in.fillTo(in.end + 1)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("PROXY protocol header from %s: %w", s.socket.RemoteAddr(), err)
		}
		in.end = copy(in.cur.buf, in.cur.buf[n:in.end])
		if h.Source != nil {
			s.peer, s.local = h.Source, h.Destination
			s.log = s.srv.log.With("peer", s.peer.String(), "proxy", s.socket.RemoteAddr().String())
		}
		return nil
	}
}

func trusted(proxies []netip.Prefix, a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	addr := t.AddrPort().Addr().Unmap().WithZone("")
	for _, p := range proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// fillTo reads until n bytes are there that nobody has taken.
func (in *inbound) fillTo(n int) error {
	for in.end < n {
		if err := in.fill(); err != nil {
			return err
		}
	}
	return nil
}

// unread is a connection of which some bytes were read too early.
type unread struct {
	net.Conn
	head []byte
}

func (u *unread) Read(b []byte) (int, error) {
	if len(u.head) == 0 {
		return u.Conn.Read(b)
	}
	n := copy(b, u.head)
	u.head = u.head[n:]
	return n, nil
}

// secure puts TLS on top of the socket.
func (s *session) secure(ctx context.Context) error {
	in := s.in
	t := tls.Server(&unread{Conn: s.socket, head: append([]byte(nil), in.cur.buf[:in.end]...)}, s.tls)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	s.conn, in.conn, in.end = t, t, 0
	state := t.ConnectionState()
	s.tlsInfo = &node.TLSInfo{
		Version: strings.ToLower(strings.ReplaceAll(tls.VersionName(state.Version), "TLS ", "tlsv")),
		Cipher:  tls.CipherSuiteName(state.CipherSuite),
	}
	if len(state.PeerCertificates) > 0 {
		s.tlsInfo.Subject = state.PeerCertificates[0].Subject.String()
		s.tlsInfo.Issuer = state.PeerCertificates[0].Issuer.String()
	}
	if len(state.VerifiedChains) > 0 {
		s.certified = s.srv.cfg.CertificateLogin.user(state.PeerCertificates[0])
	}
	return nil
}

// CertificateLogin says what of a client's certificate names its user.
type CertificateLogin string

// The ways to find a user in a certificate, by RabbitMQ's names where it has them.
const (
	LoginDistinguishedName CertificateLogin = "distinguished_name"
	LoginCommonName        CertificateLogin = "common_name"
	LoginDNS               CertificateLogin = "san_dns"
	LoginEmail             CertificateLogin = "san_email"
	LoginURI               CertificateLogin = "san_uri"
)

// user returns the user that the certificate names, "" if it names none.
func (l CertificateLogin) user(c *x509.Certificate) string {
	switch l {
	case LoginCommonName:
		return c.Subject.CommonName
	case LoginDNS:
		return first(c.DNSNames)
	case LoginEmail:
		return first(c.EmailAddresses)
	case LoginURI:
		if len(c.URIs) > 0 {
			return c.URIs[0].String()
		}
		return ""
	}
	return c.Subject.String()
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// stranger says what else a client speaks that does not begin with AMQP's header; nil if
// that is unknown.
func stranger(b []byte) error {
	switch {
	case b[0] == 0x16 && b[1] == 0x03: // a record of TLS's handshake, version 3.x
		return errors.New("TLS ClientHello on a port without TLS: the client should not use TLS, or connect to the port that has it")
	case string(b[:4]) == "GET ":
		return errors.New("HTTP GET request on the AMQP port: HTTP has a port of its own")
	}
	return nil
}

// checkHeader checks the protocol header.
func checkHeader(b []byte) error {
	err := amqp.CheckHeader(b)
	if known := stranger(b); err != nil && known != nil {
		return known
	}
	return err
}
