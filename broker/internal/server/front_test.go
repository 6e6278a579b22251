package server

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"net/netip"
	"net/url"
	"testing"

	"github.com/warren-mq/warren/broker/internal/amqp"
	"github.com/warren-mq/warren/broker/internal/fault"
)

func TestUserOfACertificate(t *testing.T) {
	full := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "app", Organization: []string{"Warren"}, Country: []string{"DE"}},
		DNSNames: []string{"app.example", "b.example"}, EmailAddresses: []string{"app@example"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "example", Path: "/app"}},
	}
	for login, want := range map[CertificateLogin]string{
		LoginDistinguishedName: "CN=app,O=Warren,C=DE", LoginCommonName: "app", LoginDNS: "app.example",
		LoginEmail: "app@example", LoginURI: "spiffe://example/app",
	} {
		if got := login.user(full); got != want {
			t.Errorf("%s: %q, want %q", login, got, want)
		}
		if got := login.user(&x509.Certificate{}); got != "" {
			t.Errorf("%s: an empty certificate names %q", login, got)
		}
	}
}

func TestTrusted(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for addr, want := range map[string]bool{
		"10.1.2.3:5": true, "11.1.2.3:5": false, "[::ffff:10.1.2.3]:5": true, "[::1]:5": true, "[::2]:5": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := trusted(proxies, a); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
	if trusted(proxies, &net.UnixAddr{Name: "x"}) || trusted(nil, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}) {
		t.Error("who is no address in the list is trusted")
	}
}

func TestConsumersMax(t *testing.T) {
	b := newFake()
	_, addr := start(t, b, func(c *Config) { c.ConsumersMax = 1 })
	r := dialRaw(t, addr)
	r.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	r.call(1, &amqp.QueueDeclare{Queue: "q"}, amqp.IDQueueDeclareOK)
	r.call(1, &amqp.BasicConsume{Queue: "q", ConsumerTag: "a"}, amqp.IDBasicConsumeOK)
	r.call(1, &amqp.BasicCancel{ConsumerTag: "a"}, amqp.IDBasicCancelOK)
	r.call(1, &amqp.BasicConsume{Queue: "q", ConsumerTag: "b"}, amqp.IDBasicConsumeOK)
	m := r.call(1, &amqp.BasicConsume{Queue: "q", ConsumerTag: "c"}, amqp.IDConnectionClose).(*amqp.ConnectionClose)
	want := amqp.ConnectionClose{ReplyCode: 530, ReplyText: "NOT_ALLOWED - reached maximum (1) of consumers per channel", ClassID: 60, MethodID: 20}
	if *m != want {
		t.Errorf("%+v", m)
	}
}

func TestUpdateSecretFrames(t *testing.T) {
	b := newFake()
	_, addr := start(t, b, nil)
	r := dialRaw(t, addr)
	r.call(1, &amqp.ChannelOpen{}, amqp.IDChannelOpenOK)
	for _, q := range []string{"lost", "kept"} {
		r.call(1, &amqp.QueueDeclare{Queue: q}, amqp.IDQueueDeclareOK)
		r.call(1, &amqp.BasicConsume{Queue: q, ConsumerTag: q}, amqp.IDBasicConsumeOK)
	}
	b.mu.Lock()
	b.unreadable = []string{"lost"}
	b.mu.Unlock()
	secret := &amqp.ConnectionUpdateSecret{NewSecret: "guest", Reason: "r"}
	r.call(0, secret, amqp.IDConnectionUpdateSecretOK)
	b.mu.Lock()
	b.unreadable, b.refused = nil, fault.Hard(fault.NotAllowed, "access to vhost '/' refused for user 'guest'")
	b.mu.Unlock()
	m := r.call(0, secret, amqp.IDConnectionClose).(*amqp.ConnectionClose)
	if m.ReplyText != "NOT_ALLOWED - access to vhost '/' refused for user 'guest'" || m.ClassID != 10 || m.MethodID != 70 {
		t.Errorf("%+v", m)
	}
}
