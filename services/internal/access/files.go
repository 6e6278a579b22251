package access

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/internal/saga"
)

const (
	secretBytes = 24
	// secretCharsMin is the least that somebody may choose in place of what is made here.
	secretCharsMin = 16
)

// Files below the directory of credentials. The first part is who reads them: nobody needs to see another's.
const (
	DefinitionsFile   = "broker/definitions.json"
	ClusterSecretFile = "broker/cluster-secret" // the nodes know each other by it
)

// PasswordFile is where a user's password is for its reader.
func PasswordFile(user string) string { return user + "/password" }

// Ensure makes the credentials that are not in the directory yet: random passwords, each in a file, and the definitions that
// belong to them. What is there stays, so that a password can be chosen, or thrown away for a new one. Files may be read by
// everybody who reaches them, because their readers run as different users; the directory is what has to be kept.
func Ensure(dir string) error {
	passwords := map[string]string{}
	for _, u := range Users() {
		var err error
		if passwords[u.Name], err = secret(dir, PasswordFile(u.Name)); err != nil {
			return err
		}
	}
	if _, err := secret(dir, ClusterSecretFile); err != nil {
		return err
	}
	// The page is order's, and asks the brokers; so does who is to kill the one that leads.
	for _, reader := range []string{events.GroupOrder, failure.Conductor} {
		if err := write(filepath.Join(dir, reader, Observer), []byte(passwords[Observer]+"\n")); err != nil {
			return err
		}
	}
	text, err := Definitions(func(user string) string { return passwords[user] })
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, DefinitionsFile), text); err != nil {
		return err
	}
	for _, m := range saga.Services() {
		// Each service's own, once for itself and once for the database that lets it in.
		own, err := secret(dir, m.Name+"/database-password")
		if err != nil {
			return err
		}
		if err := write(filepath.Join(dir, "postgres", m.Name), []byte(own+"\n")); err != nil {
			return err
		}
	}
	for _, file := range []string{"postgres/superuser", "grafana/password"} {
		if _, err := secret(dir, file); err != nil {
			return err
		}
	}
	return nil
}

// Read returns a secret without the white space around it.
func Read(dir, file string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(data))
	if len(text) < secretCharsMin {
		return "", fmt.Errorf("%s holds %d characters, want at least %d; without the file a new one is made", filepath.Join(dir, file), len(text), secretCharsMin)
	}
	return text, nil
}

// secret reads a file, or makes it.
func secret(dir, file string) (string, error) {
	text, err := Read(dir, file)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // never fails
	text = base64.RawURLEncoding.EncodeToString(raw)
	return text, write(filepath.Join(dir, file), []byte(text+"\n"))
}

// write puts a file into its place at once, unless it is there and the same.
func write(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, data, 0o444); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
