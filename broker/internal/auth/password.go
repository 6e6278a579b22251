package auth

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
)

// Algorithm is how a password is hashed, by the name that definitions use.
type Algorithm string

// The algorithms. New hashes are made with SHA256; the others are here for users who
// come from elsewhere.
const (
	SHA256 Algorithm = "rabbit_password_hashing_sha256"
	SHA512 Algorithm = "rabbit_password_hashing_sha512"
	MD5    Algorithm = "rabbit_password_hashing_md5"
)

// saltBytes stand in front of the digest.
const saltBytes = 4

// digest returns H(salt ++ password).
func (a Algorithm) digest(salt []byte, password string) ([]byte, error) {
	in := append(append(make([]byte, 0, saltBytes+len(password)), salt...), password...)
	switch a {
	case SHA256, "":
		d := sha256.Sum256(in)
		return d[:], nil
	case SHA512:
		d := sha512.Sum512(in)
		return d[:], nil
	case MD5:
		d := md5.Sum(in)
		return d[:], nil
	}
	return nil, fmt.Errorf("unknown password hashing algorithm %q", string(a))
}

// Hash returns a password's hash with a new salt: base64(salt ++ H(salt ++ password)).
func Hash(a Algorithm, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	d, err := a.digest(salt, password)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(slices.Concat(salt, d)), nil
}

// Verify says if hash is one of the password. An empty hash fits no password, not even
// the empty one; nor does one that is malformed. An empty algorithm means SHA256.
func Verify(a Algorithm, hash, password string) bool {
	raw, err := base64.StdEncoding.DecodeString(hash)
	if err != nil || len(raw) <= saltBytes {
		return false
	}
	d, err := a.digest(raw[:saltBytes], password)
	return err == nil && subtle.ConstantTimeCompare(d, raw[saltBytes:]) == 1
}

// CheckHash says what is wrong with a hash from elsewhere; nil if Verify can use it.
// The empty hash is fine: its user can't log in with a password.
func CheckHash(a Algorithm, hash string) error {
	want, err := a.digest(nil, "")
	if err != nil || hash == "" {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(hash)
	if err != nil {
		return fmt.Errorf("password hash is not base64: %w", err)
	}
	if len(raw) != saltBytes+len(want) {
		return fmt.Errorf("password hash has %d bytes, %s makes %d", len(raw), a, saltBytes+len(want))
	}
	return nil
}
