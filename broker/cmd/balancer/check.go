package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// result is what one check found.
type result struct {
	ok   bool
	code int // HTTP status; 0 if there was none
	text string
	took time.Duration
}

// connected is the text of a check that did nothing else.
const connected = "connected"

// checker asks servers whether they are ready.
type checker struct {
	client *http.Client
	scheme string
	path   string // "" to connect only
}

// newChecker asks over TLS when it is told whom to trust.
func newChecker(path string, timeout time.Duration, trusted *x509.CertPool) *checker {
	scheme := "http://"
	if trusted != nil {
		scheme = "https://"
	}
	return &checker{
		scheme: scheme, path: path,
		client: &http.Client{
			Timeout: timeout,
			Transport: &http.Transport{
				DisableKeepAlives: true, // a kept connection would hide a dead listener
				TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}
}

// check asks once.
func (c *checker) check(ctx context.Context, addr string) result {
	begin := time.Now()
	r := c.ask(ctx, addr)
	r.took = time.Since(begin)
	return r
}

func (c *checker) ask(ctx context.Context, addr string) result {
	if c.path == "" {
		return c.connect(ctx, addr)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.scheme+addr+c.path, nil)
	if err != nil {
		return result{text: err.Error()}
	}
	resp, err := c.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which is always the same
		}
		return result{text: err.Error()}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	return result{
		ok:   resp.StatusCode >= 200 && resp.StatusCode < 400,
		code: resp.StatusCode,
		text: fmt.Sprintf("HTTP %d", resp.StatusCode),
	}
}

// connect says whether somebody listens.
func (c *checker) connect(ctx context.Context, addr string) result {
	ctx, cancel := context.WithTimeout(ctx, c.client.Timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return result{text: err.Error()}
	}
	_ = conn.Close() // nothing was said
	return result{ok: true, text: connected}
}
