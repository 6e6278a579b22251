package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/internal/process"
)

const month = 30 * 24 * time.Hour

// leaf reads what was made for a name and checks it as a client would.
func leaf(t *testing.T, dir, name, host string, now time.Time) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name, certFile), filepath.Join(dir, name, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, name, authorityFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: host, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			t.Errorf("%s as %s: %v", name, host, err)
		}
	}
	return pair.Leaf
}

func TestEnsure(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	if err := ensure(dir, []string{"broker-1", "order"}, now, month); err != nil {
		t.Fatal(err)
	}
	first := leaf(t, dir, "broker-1", "broker-1", now)
	leaf(t, dir, "order", "localhost", now)
	leaf(t, dir, "order", "127.0.0.1", now)
	if err := first.VerifyHostname("broker-2"); err == nil {
		t.Error("it is good for another host")
	}
	if info, err := os.Stat(filepath.Join(dir, authorityKey)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the authority's key: %v %v", info, err)
	}
	if err := ensure(dir, []string{"order,shop"}, now, month); err != nil {
		t.Fatal(err)
	}
	leaf(t, dir, "order", "shop", now)
	if err := ensure(dir, []string{"broker-1"}, now.Add(month/3), month); err != nil {
		t.Fatal(err)
	}
	if !leaf(t, dir, "broker-1", "broker-1", now.Add(month/3)).Equal(first) {
		t.Error("it was made anew before its time")
	}
	if err := ensure(dir, []string{"broker-1"}, now.Add(month*3/4), month); err != nil {
		t.Fatal(err)
	}
	if leaf(t, dir, "broker-1", "broker-1", now.Add(month*3/4)).Equal(first) {
		t.Error("it was not made anew")
	}
}

func TestWrongUse(t *testing.T) {
	for args, want := range map[string]string{
		"../other": "is no host's name", "a,B": "is no host's name", "--lasts 1m a": "want at least", "--export": "no authority", "--what": "unknown flag",
	} {
		var out bytes.Buffer
		code := run(append(strings.Fields(args), "--dir", t.TempDir()), &out, &out)
		if code != process.ExitUsage || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %d %s", args, code, out.String())
		}
	}
}
