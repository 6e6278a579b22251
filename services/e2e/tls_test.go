package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
)

// TestOrdersOverTLS: an order goes its way while AMQP, the nodes among each other and the HTTP APIs have TLS, and nobody gets in
// without.
func TestOrdersOverTLS(t *testing.T) {
	certs := filepath.Join(t.TempDir(), "certs")
	names := []string{system.Order, system.Payment, system.Product, system.Shipment}
	for n := range system.Nodes {
		names = append(names, system.BrokerName(n+1))
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "certs"), append([]string{"--dir", certs}, names...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pem, err := os.ReadFile(filepath.Join(certs, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trust(t, pem)
	r := startWith(t, system.Config{Certs: certs})

	orders := make([]order, 1)
	if err := r.placeOne(t.Context(), 0, &orders[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, endPatience, r.ended(orders, 1))
	for n := range system.Nodes {
		if _, err := call(t.Context(), http.MethodGet, r.ManagementURL(n+1)+"/api/overview", nil, nil); err != nil {
			t.Error(err)
		}
	}
	for what, address := range map[string]string{"the proxy": hostOf(t, r.AMQPURL()), "broker-1": hostOf(t, r.ManagementURL(1)), "order": hostOf(t, r.URL(system.Order))} {
		if plain(t, address) {
			t.Errorf("%s answers without TLS", what)
		}
	}
}

// plain says whether something that is no TLS is answered with anything but a refusal.
func plain(t *testing.T, address string) bool {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	first := make([]byte, 1)
	_, err = conn.Read(first)
	return err == nil && first[0] == 1 // a method frame; an alert of TLS is 21, an answer of HTTP begins with H
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// trust makes the tests' client trust an authority until the test ends. No tests of this package run side by side.
func trust(t *testing.T, authority []byte) {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		t.Fatalf("no certificate: %q", authority)
	}
	before := client
	client = &http.Client{Timeout: before.Timeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(func() { client = before })
}
