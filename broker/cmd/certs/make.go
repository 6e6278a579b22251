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
	for _, n := range names {
		if !hostname.MatchString(n) {
			return fmt.Errorf("%w: %q is no host's name: small letters, digits, dots and dashes", errUsage, n)
		}
	}
	ca, err := load(filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKey), now, lasts, nil)
	if err != nil {
		if ca, err = authority(now, lasts); err != nil {
			return err
		}
		if err := save(ca, filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKey), 0o600); err != nil {
			return err
		}
	}
	for _, n := range names {
		cert, key := filepath.Join(dir, n, certFile), filepath.Join(dir, n, keyFile)
		if _, err := load(cert, key, now, lasts, ca.cert); err == nil {
			continue
		}
		leaf, err := sign(ca, n, now, lasts)
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

// load reads what is there. It fails unless it is good for a while, and signed by the authority if one is given.
func load(cert, key string, now time.Time, lasts time.Duration, signer *x509.Certificate) (pair, error) {
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
	case signer != nil && both.Leaf.CheckSignatureFrom(signer) != nil:
		return pair{}, errors.New("another authority signed it")
	}
	return pair{both.Leaf, private}, nil
}

// authority makes one.
func authority(now time.Time, lasts time.Duration) (pair, error) {
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: authorityName}, NotBefore: now.Add(-clockSlack), NotAfter: now.Add(lasts),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return certify(t, nil)
}

// sign makes a certificate for a host, which is a server to some and a client to others.
func sign(ca pair, name string, now time.Time, lasts time.Duration) (pair, error) {
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-clockSlack), NotAfter: now.Add(lasts), BasicConstraintsValid: true,
		DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
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
