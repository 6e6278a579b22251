package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	authorityName = "Warren development authority"
	authorityFile = "ca.pem"
	authorityKey  = "ca-key.pem"
	certFile      = "cert.pem"
	keyFile       = "key.pem"
	serialBits    = 128
	// A certificate is made anew when less than a third of its time is left: it was not renewed for long, and will be needed
	// for a while.
	renewShare = 3
	// clockSlack is how much earlier than now a certificate begins, for machines whose clocks differ.
	clockSlack = time.Hour
	lastsMin   = 24 * time.Hour
)

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// ensure makes what is missing, does not fit or soon ends. An authority that is made anew signs everything anew.
func ensure(dir string, names []string, now time.Time, lasts time.Duration) error {
	if lasts < lastsMin {
		return fmt.Errorf("%w: --lasts is %s, want at least %s", errUsage, lasts, lastsMin)
	}
	for _, n := range strings.Split(strings.Join(names, ","), ",") {
		if !hostname.MatchString(n) && len(names) > 0 {
			return fmt.Errorf("%w: %q is no host's name: small letters, digits, dots and dashes", errUsage, n)
		}
	}
	ca, err := load(filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKey), now, lasts)
	if err != nil {
		if ca, err = authority(now, lasts); err != nil {
			return err
		}
		if err := save(ca, filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKey), 0o600); err != nil {
			return err
		}
	}
	for _, name := range names {
		hosts := strings.Split(name, ",")
		n := hosts[0]
		cert, key := filepath.Join(dir, n, certFile), filepath.Join(dir, n, keyFile)
		if old, err := load(cert, key, now, lasts); err == nil && old.serves(hosts, ca.cert) {
			continue
		}
		leaf, err := sign(ca, hosts, now, lasts)
		if err != nil {
			return err
		}
		// Its reader may be another user than its maker; the directory above is what has to be kept.
		if err := save(leaf, cert, key, 0o444); err != nil {
			return err
		}
		if err := write(filepath.Join(dir, n, authorityFile), encode("CERTIFICATE", ca.cert.Raw), 0o444); err != nil {
			return err
		}
	}
	return nil
}

// load reads what is there. It fails unless it is good for a while.
func load(cert, key string, now time.Time, lasts time.Duration) (pair, error) {
	both, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return pair{}, err
	}
	private, ok := both.PrivateKey.(*ecdsa.PrivateKey)
	switch {
	case !ok:
		return pair{}, errors.New("not a key of ours")
	case both.Leaf.NotAfter.Before(now.Add(lasts / renewShare)):
		return pair{}, errors.New("it ends soon")
	}
	return pair{both.Leaf, private}, nil
}

// serves says whether it is good for all of the hosts, and signed by the authority.
func (p pair) serves(hosts []string, signer *x509.Certificate) bool {
	for _, h := range hosts {
		if p.cert.VerifyHostname(h) != nil {
			return false
		}
	}
	return p.cert.CheckSignatureFrom(signer) == nil
}

// authority makes one.
func authority(now time.Time, lasts time.Duration) (pair, error) {
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: authorityName}, NotBefore: now.Add(-clockSlack), NotAfter: now.Add(lasts),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return certify(t, nil)
}

// sign makes a certificate for a host by its names, which is a server to some and a client to others.
func sign(ca pair, hosts []string, now time.Time, lasts time.Duration) (pair, error) {
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: now.Add(-clockSlack), NotAfter: now.Add(lasts), BasicConstraintsValid: true,
		DNSNames: append(slices.Clone(hosts), "localhost"), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return certify(t, &ca)
}

// certify makes a certificate that signer signs, or itself.
func certify(t *x509.Certificate, signer *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits)); err != nil {
		return pair{}, err
	}
	if signer == nil {
		signer = &pair{t, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return pair{cert, key}, err
}

func save(p pair, cert, key string, mode fs.FileMode) error {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	return errors.Join(write(key, encode("PRIVATE KEY", der), mode), write(cert, encode("CERTIFICATE", p.cert.Raw), 0o444))
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// write puts a file into its place at once.
func write(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, data, mode); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// export prints the authority's certificate, for those who are to trust it.
func export(dir string, w io.Writer) error {
	data, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: no authority in %s yet", errUsage, dir)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(data))
	return err
}
