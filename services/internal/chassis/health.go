package chassis

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/run"
)

const (
	healthTimeout    = 3 * time.Second
	healthBytesShown = 1 << 10
)

// Command carries out what the command line asks for instead of the service itself: `health` asks a running one, for machines
// that have no curl. done is false when the service shall run.
func Command(ctx context.Context, cfg Config, args []string) (done bool, err error) {
	switch {
	case len(args) == 0:
		return false, nil
	case len(args) == 1 && args[0] == "health":
		return true, health(ctx, cfg)
	}
	return true, run.UsageError{Err: fmt.Errorf("unknown arguments %q; none runs the service, health asks a running one", strings.Join(args, " "))}
}

func health(ctx context.Context, cfg Config) error {
	host, port, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return run.UsageError{Err: err}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if cfg.Cert != "" {
		scheme = "https"
	}
	// Nothing secret is said, and this machine's address need not be in the certificate.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/health/ready", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, healthBytesShown))
		return fmt.Errorf("not ready: %s", strings.TrimSpace(string(body)))
	}
	return nil
}
