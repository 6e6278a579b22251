package brokertest_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.cert, a.key, _ = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pool.AddCert(a.cert)
	a.write("ca.pem", "CERTIFICATE", a.cert.Raw)
	return a
}

var serials int64

// sign makes a certificate; the authority's own is signed by itself.
func (a *authority) sign(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, tls.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serials++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(serials), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	if err != nil {
		a.t.Fatal(err)
	}
}

// serve makes files of a certificate for the listener and returns its serial number.
func (a *authority) serve() *big.Int {
	a.t.Helper()
	cert, key, _ := a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("cert.pem", "CERTIFICATE", cert.Raw)
	a.write("key.pem", "PRIVATE KEY", der)
	return cert.SerialNumber
}

// client makes a certificate for a client.
func (a *authority) client(name string) tls.Certificate {
	a.t.Helper()
	_, _, c := a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: []string{"Warren"}},
		DNSNames:    []string{"dns-" + name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return c
}

// listen is an option: a listener with the authority's certificate.
func (a *authority) listen(verify, login string) func(*broker.Config) {
	return func(c *broker.Config) {
		c.TLS = broker.TLS{
			Listen: "127.0.0.1:0", Cert: filepath.Join(a.dir, "cert.pem"), Key: filepath.Join(a.dir, "key.pem"),
			CA: filepath.Join(a.dir, "ca.pem"), Verify: verify, Login: login,
		}
	}
}

// dial connects with TLS.
func (a *authority) dial(n *brokertest.Node, userinfo string, sasl []amqp.Authentication, certs ...tls.Certificate) (*amqp.Connection, error) {
	a.t.Helper()
	c, err := amqp.DialConfig("amqps://"+userinfo+n.TLSAddr()+"/", amqp.Config{
		SASL: sasl, TLSClientConfig: &tls.Config{RootCAs: a.pool, Certificates: certs},
	})
	if err == nil {
		a.t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

var externalAuth = []amqp.Authentication{&amqp.ExternalAuth{}}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	ca.serve()
	n := brokertest.Start(t, ca.listen("peer", ""))
	a := apiOf(t, n)
	// With a password, with and without a certificate.
	c, err := ca.dial(n, "guest:guest@", nil)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := c.Channel()
	if err != nil {
		t.Fatal(err)
	}
	declare(t, ch, "q", nil)
	publish(t, ch, "q", 0, 200)
	expect(t, ch, "q", 0, 200)
	l := a.list("/api/connections")
	if len(l) != 1 || l[0]["ssl"] != true || l[0]["ssl_protocol"] != "tlsv1.3" || l[0]["peer_cert_subject"] != nil {
		t.Errorf("%v", l)
	}
	// EXTERNAL is for those whose certificate was verified.
	_, err = ca.dial(n, "", externalAuth)
	if err == nil {
		t.Error("EXTERNAL without a certificate")
	}
	_, err = ca.dial(n, "", externalAuth, ca.client("app"))
	refused(t, err, 403, "username or password not allowed")
	a.want(201, "PUT", "/api/users/CN=app,O=Warren", `{"password_hash":"","tags":""}`)
	a.want(201, "PUT", "/api/permissions/%2F/CN=app,O=Warren", `{"configure":".*","write":".*","read":".*"}`)
	if _, err = ca.dial(n, "", externalAuth, ca.client("app")); err != nil {
		t.Fatal(err)
	}
	l = a.list("/api/connections")
	if len(l) != 2 {
		t.Fatalf("%v", l)
	}
	for _, m := range l {
		if m["user"] == "CN=app,O=Warren" && (m["auth_mechanism"] != "EXTERNAL" || m["peer_cert_subject"] != "CN=app,O=Warren" || m["peer_cert_issuer"] != "CN=test authority") {
			t.Errorf("%v", m)
		}
	}
	// A certificate that somebody else signed.
	if _, err := ca.dial(n, "guest:guest@", nil, newAuthority(t).client("app")); err == nil {
		t.Error("a stranger's certificate is taken")
	}
}

func TestTLSThatNeedsACertificate(t *testing.T) {
	ca := newAuthority(t)
	ca.serve()
	n := brokertest.Start(t, ca.listen("require", "san_dns"))
	if _, err := ca.dial(n, "guest:guest@", nil); err == nil {
		t.Error("without a certificate")
	}
	apiOf(t, n).addUser("dns-app", "", "/")
	if _, err := ca.dial(n, "", externalAuth, ca.client("app")); err != nil {
		t.Error(err)
	}
	if _, err := amqp.Dial(n.URL()); err != nil { // the other listener goes on without
		t.Error(err)
	}
}

func TestTLSCertificateIsReadAgain(t *testing.T) {
	ca := newAuthority(t)
	first := ca.serve()
	n := brokertest.Start(t, ca.listen("none", ""))
	serial := func() *big.Int {
		t.Helper()
		c, err := tls.Dial("tcp", n.TLSAddr(), &tls.Config{RootCAs: ca.pool})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		return c.ConnectionState().PeerCertificates[0].SerialNumber
	}
	if got := serial(); got.Cmp(first) != 0 {
		t.Fatalf("certificate %v, want %v", got, first)
	}
	second := ca.serve()
	for end := time.Now().Add(deadline); serial().Cmp(second) != 0; {
		if time.Now().After(end) {
			t.Fatal("the new certificate is not shown")
		}
	}
}

func TestTLSSettings(t *testing.T) {
	ca := newAuthority(t)
	ca.serve()
	for name, change := range map[string]func(*broker.TLS){
		"TLS certificate":      func(c *broker.TLS) { c.Cert = "nowhere" },
		"TLS authority":        func(c *broker.TLS) { c.CA = "nowhere" },
		"no certificate in":    func(c *broker.TLS) { c.CA = c.Key },
		"TLS verify is":        func(c *broker.TLS) { c.Verify = "maybe" },
		"TLS verify needs":     func(c *broker.TLS) { c.CA = "" },
		"least TLS version is": func(c *broker.TLS) { c.Min = "1.0" },
		"certificate login is": func(c *broker.TLS) { c.Login = "shoe size" },
		"AMQPS address":        func(c *broker.TLS) { c.Listen = "nowhere:x" },
	} {
		cfg := broker.Config{Name: "b", DataDir: t.TempDir(), Listen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0"}
		ca.listen("peer", "")(&cfg)
		change(&cfg.TLS)
		if _, err := broker.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := broker.New(broker.Config{Name: "b", DataDir: t.TempDir(), TrustedProxies: []string{"all"}})
	if err == nil || !strings.Contains(err.Error(), `trusted proxy "all"`) {
		t.Error(err)
	}
}

// logBook is a log to look into.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// await waits until the log has a text.
func (b *logBook) await(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		b.mu.Lock()
		all := b.buf.String()
		b.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log lacks %q:\n%s", text, all)
		}
	}
}

func (b *logBook) option(c *broker.Config) { c.Logger = slog.New(slog.NewTextHandler(b, nil)) }

func TestStrangersAreNamedInTheLog(t *testing.T) {
	var book logBook
	ca := newAuthority(t)
	ca.serve()
	n := brokertest.Start(t, book.option, ca.listen("none", ""))
	_, err := tls.Dial("tcp", n.AMQPAddr(), &tls.Config{RootCAs: ca.pool})
	if err == nil {
		t.Error("TLS on a plain port")
	}
	book.await(t, "TLS ClientHello on a port without TLS")
	for _, c := range []struct{ addr, bytes, text string }{
		{n.AMQPAddr(), "GET / HTTP/1.1\r\n\r\n", "HTTP GET request on the AMQP port"},
		{n.TLSAddr(), "AMQP\x00\x00\x09\x01", "first record does not look like a TLS handshake"},
		{n.AMQPAddr(), "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY protocol header from 127.0.0.1:"},
		{n.TLSAddr(), "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "which is not among the trusted sources"},
	} {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(deadline))
		if _, err := conn.Write([]byte(c.bytes)); err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, conn)
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Errorf("%q: the connection stays open", c.bytes)
		}
		_ = conn.Close()
		book.await(t, c.text)
	}
}

// behind returns a way to dial that sends a PROXY header first.
func behind(header string) func(network, addr string) (net.Conn, error) {
	return func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err == nil {
			_, err = io.WriteString(c, header)
		}
		if err == nil {
			err = c.SetDeadline(time.Now().Add(deadline))
		}
		return c, err
	}
}

const (
	proxyV1 = "PROXY TCP4 192.0.2.1 192.0.2.2 51234 5672\r\n"
	proxyV2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xc8\x22\x16\x28"
	localV2 = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

func TestClientsBehindAProxy(t *testing.T) {
	var book logBook
	ca := newAuthority(t)
	ca.serve()
	n := brokertest.Start(t, book.option, ca.listen("none", ""), func(c *broker.Config) {
		c.TrustedProxies = []string{"10.0.0.0/8", "127.0.0.1"}
	})
	a := apiOf(t, n)
	a.addUser("u", "", "/")
	const name = "192.0.2.1:51234 -> 192.0.2.2:5672"
	for what, header := range map[string]string{"version 1": proxyV1, "version 2": proxyV2} {
		t.Run(what, func(t *testing.T) {
			c, err := amqp.DialConfig("amqp://u:p@"+n.AMQPAddr()+"/", amqp.Config{Dial: behind(header)})
			if err != nil {
				t.Fatal(err)
			}
			l := a.list("/api/connections")
			if len(l) != 1 || l[0]["name"] != name || l[0]["peer_host"] != "192.0.2.1" || l[0]["peer_port"] != 51234.0 || l[0]["port"] != 5672.0 {
				t.Errorf("%v", l)
			}
			book.await(t, "peer=192.0.2.1:51234 proxy=127.0.0.1:")
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("guest", func(t *testing.T) { // is not on this machine, though the proxy is
		_, err := amqp.DialConfig(n.URL(), amqp.Config{Dial: behind(proxyV2)})
		refused(t, err, 403, "username or password not allowed")
		book.await(t, "user 'guest' can only connect via localhost")
	})
	for what, header := range map[string]string{"no header": "", "a proxy's own": localV2, "unknown": "PROXY UNKNOWN\r\n"} {
		t.Run(what, func(t *testing.T) {
			c, err := amqp.DialConfig(n.URL(), amqp.Config{Dial: behind(header)})
			if err != nil {
				t.Fatal(err)
			}
			if l := a.list("/api/connections"); len(l) != 1 || l[0]["peer_host"] != "127.0.0.1" {
				t.Errorf("%v", l)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("before TLS", func(t *testing.T) {
		c, err := amqp.DialConfig("amqps://u:p@"+n.TLSAddr()+"/", amqp.Config{
			TLSClientConfig: &tls.Config{RootCAs: ca.pool, ServerName: "127.0.0.1"}, Dial: behind(proxyV2),
		})
		if err != nil {
			t.Fatal(err)
		}
		if l := a.list("/api/connections"); len(l) != 1 || l[0]["name"] != name || l[0]["ssl"] != true {
			t.Errorf("%v", l)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("in pieces", func(t *testing.T) {
		conn, err := net.Dial("tcp", n.AMQPAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(deadline))
		for _, b := range []byte(proxyV2 + "AMQP\x00\x00\x09\x01") {
			if _, err := conn.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if first, err := bufio.NewReader(conn).ReadByte(); err != nil || first != 1 {
			t.Errorf("no method frame: %d, %v", first, err)
		}
	})
	t.Run("broken", func(t *testing.T) {
		conn, err := behind("PROXY TCP4 nonsense\r\n")("tcp", n.AMQPAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection stays open")
		}
		book.await(t, "PROXY protocol header from 127.0.0.1:")
		book.await(t, "3 fields, want 6")
	})
}

// TestTLSEverywhere: nodes find each other over TLS, tools and clients use it, and who has no certificate is no node.
func TestTLSEverywhere(t *testing.T) {
	ca := newAuthority(t)
	ca.serve()
	everywhere := func(c *broker.Config) {
		ca.listen("none", "")(c)
		c.TLS.HTTP, c.TLS.Peers = true, true
	}
	c := brokertest.StartCluster(t, 3, everywhere)
	conn, err := ca.dial(c.Nodes[0], "guest:guest@", nil)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	// A replicated queue: the nodes do speak with each other.
	if _, err := ch.QueueDeclare("q", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.pool}}}
	url := c.Nodes[1].HTTPAddr() + "/api/health/checks/ready-to-serve-clients"
	resp, err := client.Get("https://" + url)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	if resp, err := client.Get("http://" + url); err == nil {
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("the API answers without TLS: %s", resp.Status)
		}
	}
	raw, err := tls.Dial("tcp", c.Nodes[0].PeerAddr(), &tls.Config{RootCAs: ca.pool})
	if err != nil {
		t.Fatal(err) // with TLS 1.3 the refusal comes after the client's last word
	}
	defer func() { _ = raw.Close() }()
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := raw.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a peer without a certificate reads %d bytes: %v", n, err)
	}
}
