package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writePair writes a certificate and its key, as of a time.
func writePair(t *testing.T, dir string, serial int64, at time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), at)
	write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), at)
}

func write(t *testing.T, dir, name string, b []byte, at time.Time) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func serial(t *testing.T, s *Source) int64 {
	t.Helper()
	c, err := s.Config().GetConfigForClient(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.Int64()
}

func TestFilesAreReadAgain(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	var log bytes.Buffer
	writePair(t, dir, 1, now)
	s, err := Load(Config{
		Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return now }
	later := func(want int64) {
		t.Helper()
		now = now.Add(lookInterval)
		if got := serial(t, s); got != want {
			t.Fatalf("certificate %d, want %d\n%s", got, want, &log)
		}
	}
	later(1)
	writePair(t, dir, 2, now)
	if got := serial(t, s); got != 1 {
		t.Fatalf("the files are looked at with each client: %d", got)
	}
	later(2)
	// A file that is half written changes nothing, and is looked at again.
	key, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "key.pem", key[:40], now)
	later(2)
	later(2)
	if n := strings.Count(log.String(), "new certificate not taken"); n != 1 {
		t.Errorf("said %d times:\n%s", n, &log)
	}
	writePair(t, dir, 3, now)
	later(3)
	// Files that are gone are no reason to stop.
	if err := os.Remove(filepath.Join(dir, "cert.pem")); err != nil {
		t.Fatal(err)
	}
	later(3)
}

func TestWhatIsAskedOfClients(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, 1, time.Now())
	for _, c := range []struct {
		verify Verify
		least  string
		want   tls.ClientAuthType
		min    uint16
	}{
		{"", "", tls.NoClientCert, tls.VersionTLS12},
		{VerifyNone, "1.2", tls.NoClientCert, tls.VersionTLS12},
		{VerifyPeer, "1.3", tls.VerifyClientCertIfGiven, tls.VersionTLS13},
		{VerifyRequire, "1.3", tls.RequireAndVerifyClientCert, tls.VersionTLS13},
	} {
		s, err := Load(Config{
			Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "cert.pem"), Verify: c.verify, Min: c.least,
		})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := s.Config().GetConfigForClient(nil)
		if got.ClientAuth != c.want || got.MinVersion != c.min || s.Config().MinVersion != c.min || got.ClientCAs == nil {
			t.Errorf("%+v: %v, %x", c, got.ClientAuth, got.MinVersion)
		}
	}
}
