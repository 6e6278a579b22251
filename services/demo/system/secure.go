package system

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
)

// scheme is that of an address: amqp or http, amqps or https.
func (s *System) scheme(plain string) string {
	if s.cfg.Certs != "" {
		return plain + "s"
	}
	return plain
}

func (s *System) authority() string { return filepath.Join(s.cfg.Certs, "ca.pem") }

// trust is the authority of Certs; nil without, or when there is none yet. Then nothing becomes ready, and says why.
func (c Config) trust() *tls.Config {
	pem, err := os.ReadFile(filepath.Join(c.Certs, "ca.pem"))
	if c.Certs == "" || err != nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
}

// brokerListeners are the settings of node i's addresses, from 0. With TLS the port for clients has it, and nothing else can be
// reached from outside the process.
func (s *System) brokerListeners(i int) []string {
	amqp := s.cfg.Ports.AMQP[i].Address()
	if s.cfg.Certs == "" {
		return []string{"WARREN_AMQP=" + amqp}
	}
	own := filepath.Join(s.cfg.Certs, BrokerName(i+1))
	return []string{
		"WARREN_AMQP=127.0.0.1:0", "WARREN_AMQP_TLS=" + amqp, "WARREN_HTTP_TLS=true", "WARREN_PEER_TLS=true", "WARREN_TLS_CA=" + s.authority(),
		"WARREN_TLS_CERT=" + filepath.Join(own, "cert.pem"), "WARREN_TLS_KEY=" + filepath.Join(own, "key.pem"),
	}
}

// serviceTLS are the settings of a service's TLS.
func (s *System) serviceTLS(name string) []string {
	if s.cfg.Certs == "" {
		return nil
	}
	own := filepath.Join(s.cfg.Certs, name)
	return []string{
		"TLS_CA=" + s.authority(), "HTTP_TLS_CERT=" + filepath.Join(own, "cert.pem"), "HTTP_TLS_KEY=" + filepath.Join(own, "key.pem"),
	}
}

// speaksAMQP says that whoever listens answers the protocol header with connection.start: a method frame on channel 0.
func (s *System) speaksAMQP(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		conn, err := s.dial(ctx, address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		deadline, _ := ctx.Deadline()
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
			return err
		}
		var frame [3]byte
		if _, err := io.ReadFull(conn, frame[:]); err != nil {
			return fmt.Errorf("%s: no broker behind it: %w", address, err)
		}
		if frame != [3]byte{1, 0, 0} {
			return errors.New(address + ": this is not AMQP 0-9-1")
		}
		return nil
	}
}

func (s *System) dial(ctx context.Context, address string) (net.Conn, error) {
	if s.cfg.Certs == "" {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{Config: s.cfg.trust()}).DialContext(ctx, "tcp", address)
}
