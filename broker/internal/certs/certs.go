// Package certs keeps a listener's TLS settings. Certificates are read again when their
// files have changed, so that a renewed one needs no restart.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Verify says what a listener asks of its clients' certificates.
type Verify string

// What may be asked.
const (
	VerifyNone    Verify = "none"    // no certificate is asked for
	VerifyPeer    Verify = "peer"    // one that is shown must be good
	VerifyRequire Verify = "require" // one must be shown, and be good
)

// Config names the files, all PEM, and what is asked for.
type Config struct {
	Cert, Key string // the listener's certificate with its chain, and its key
	CA        string // who signs clients' certificates; needed unless Verify is none
	Verify    Verify // none if empty
	Min       string // least version: "1.2" (default) or "1.3"
	Logger    *slog.Logger
}

// lookInterval is how long a change of the files may go unseen.
const lookInterval = time.Second

// Source gives each client the settings of the moment.
type Source struct {
	cfg   Config
	auth  tls.ClientAuthType
	least uint16
	now   func() time.Time

	mu     sync.Mutex
	looked time.Time
	seen   [3]time.Time // the files' times when they were read
	failed string       // what the log knows already
	tls    *tls.Config
}

// Load reads the files for the first time.
func Load(cfg Config) (*Source, error) {
	s := &Source{cfg: cfg, now: time.Now}
	if s.cfg.Logger == nil {
		s.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	switch cfg.Verify {
	case "", VerifyNone:
	case VerifyPeer:
		s.auth = tls.VerifyClientCertIfGiven
	case VerifyRequire:
		s.auth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("TLS verify is %q, allowed are none, peer and require", cfg.Verify)
	}
	switch cfg.Min {
	case "", "1.2":
		s.least = tls.VersionTLS12
	case "1.3":
		s.least = tls.VersionTLS13
	default:
		return nil, fmt.Errorf("least TLS version is %q, allowed are 1.2 and 1.3", cfg.Min)
	}
	if s.auth != tls.NoClientCert && cfg.CA == "" {
		return nil, errors.New("TLS verify needs the certificate of the authority that signs clients' certificates")
	}
	s.looked, s.seen = s.now(), s.times()
	var err error
	s.tls, err = s.read()
	return s, err
}

// Config returns settings for tls.Server that ask s for each client.
func (s *Source) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         s.least,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.current(), nil },
	}
}

// Dial returns settings for tls.Client towards a host: it shows the same certificate, and asks for one of the same authority.
func (s *Source) Dial(host string) *tls.Config {
	c := s.current()
	return &tls.Config{MinVersion: s.least, Certificates: c.Certificates, RootCAs: c.ClientCAs, ServerName: host}
}

// current returns the settings, those of new files if they are good.
func (s *Source) current() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if now.Sub(s.looked) < lookInterval {
		return s.tls
	}
	s.looked = now
	times := s.times()
	if times == s.seen {
		return s.tls
	}
	fresh, err := s.read()
	if err != nil {
		// One of the files may be written still: look again.
		if text := err.Error(); text != s.failed {
			s.failed = text
			s.cfg.Logger.Error("new certificate not taken, the old one stays", "error", err)
		}
		return s.tls
	}
	s.cfg.Logger.Info("certificate read again", "file", s.cfg.Cert)
	s.tls, s.seen, s.failed = fresh, times, ""
	return s.tls
}

// End returns until when the certificate is good; zero if it can't be read.
func (s *Source) End() time.Time {
	c := s.current()
	if len(c.Certificates) == 0 || len(c.Certificates[0].Certificate) == 0 {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
}

func (s *Source) times() (t [3]time.Time) {
	for i, name := range [...]string{s.cfg.Cert, s.cfg.Key, s.cfg.CA} {
		if info, err := os.Stat(name); err == nil {
			t[i] = info.ModTime()
		}
	}
	return t
}

func (s *Source) read() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(s.cfg.Cert, s.cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: s.least, ClientAuth: s.auth}
	if s.cfg.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.cfg.CA)
	if err != nil {
		return nil, fmt.Errorf("TLS authority: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("TLS authority: no certificate in %s", s.cfg.CA)
	}
	return c, nil
}
