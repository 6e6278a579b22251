//go:build interop

package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

const scriptTimeout = time.Minute

// missing is the exit status of a script whose client is not installed; it has said so.
const missing = 77

// TestClients runs each client's script against one node, plain and with TLS.
func TestClients(t *testing.T) {
	ca, cert, key := certificates(t)
	n := brokertest.Start(t, func(c *broker.Config) {
		c.TLS = broker.TLS{Listen: "127.0.0.1:0", Cert: cert, Key: key}
	})
	for _, script := range []string{"librabbitmq.sh", "pika.sh", "bunny.sh", "amqplib.sh"} {
		for _, kind := range []struct{ name, url string }{
			{"plain", "amqp://guest:guest@" + n.AMQPAddr() + "/%2F"},
			{"TLS", "amqps://guest:guest@" + n.TLSAddr() + "/%2F"},
		} {
			t.Run(script+"/"+kind.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
				defer cancel()
				cmd := exec.CommandContext(ctx, "bash", script)
				cmd.Env = append(os.Environ(), "AMQP_URL="+kind.url, "CA_FILE="+ca)
				out, err := cmd.CombinedOutput()
				switch {
				case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == missing:
					t.Skipf("%s", out)
				case err != nil:
					t.Errorf("%v\n%s", err, out)
				default:
					t.Logf("%s", out)
				}
			})
		}
	}
}

// certificates makes an authority and a certificate of the node, in files.
func certificates(t *testing.T) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	nodeKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "interop authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	must(err)
	ca = write("ca.pem", "CERTIFICATE", der)
	node := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err = x509.CreateCertificate(rand.Reader, node, authority, &nodeKey.PublicKey, caKey)
	must(err)
	cert = write("node.pem", "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(nodeKey)
	must(err)
	return ca, cert, write("node.key", "PRIVATE KEY", der)
}
