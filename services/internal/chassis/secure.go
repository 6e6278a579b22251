package chassis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/warren-mq/warren/libs/run"
)

// serving is how the HTTP API is served, nil without TLS.
func (c Config) serving() (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil //nolint:nilnil // no TLS is no mistake
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, run.UsageError{Err: fmt.Errorf("HTTP_TLS_CERT, HTTP_TLS_KEY: %w", err)}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}, nil
}

// trusting is whom others must be signed by, nil for whom the machine trusts.
func (c Config) trusting() (*tls.Config, error) {
	if c.CA == "" {
		return nil, nil //nolint:nilnil // the machine's are fine
	}
	pem, err := os.ReadFile(c.CA)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("no certificate in %s", c.CA)
	}
	if err != nil {
		return nil, run.UsageError{Err: fmt.Errorf("TLS_CA: %w", err)}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}
