package access

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
)

const (
	hashing   = "rabbit_password_hashing_sha256"
	saltBytes = 4
)

// definitions is the part of RabbitMQ's format that is about access.
type definitions struct {
	Vhosts      []vhost      `json:"vhosts"`
	Users       []user       `json:"users"`
	Permissions []permission `json:"permissions"`
}

type vhost struct {
	Name string `json:"name"`
}

type user struct {
	Name      string `json:"name"`
	Hash      string `json:"password_hash"`
	Algorithm string `json:"hashing_algorithm"`
	Tags      string `json:"tags"`
}

type permission struct {
	User      string `json:"user"`
	Vhost     string `json:"vhost"`
	Configure string `json:"configure"`
	Write     string `json:"write"`
	Read      string `json:"read"`
}

// Definitions returns what a broker imports, Warren or RabbitMQ: the users with their passwords' hashes, and their permissions in
// virtual host /. The same passwords give the same text.
func Definitions(password func(user string) string) ([]byte, error) {
	d := definitions{Vhosts: []vhost{{Name: "/"}}}
	for _, u := range Users() {
		d.Users = append(d.Users, user{Name: u.Name, Hash: hash(password(u.Name)), Algorithm: hashing, Tags: strings.Join(u.Tags, ",")})
		d.Permissions = append(d.Permissions, permission{
			User: u.Name, Vhost: "/", Configure: u.Configure(), Write: u.Write(), Read: u.Read(),
		})
	}
	text, err := json.MarshalIndent(d, "", "  ")
	return append(text, '\n'), err
}

// hash is a password's. The passwords are random and long: a salt that follows from the password gives nothing away that the hash
// does not, and a broker imports a text that it knows only once.
func hash(password string) string {
	seed := sha256.Sum256([]byte("salt:" + password))
	return salted(seed[:saltBytes], password)
}

// salted is base64(salt ++ SHA-256(salt ++ password)), RabbitMQ's.
func salted(salt []byte, password string) string {
	digest := sha256.Sum256(append(slices.Clone(salt), password...))
	return base64.StdEncoding.EncodeToString(append(slices.Clone(salt), digest[:]...))
}
