package chassis

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/run"
)

// Env reads settings and keeps every mistake, so that they are told all at once and before anything starts.
type Env struct {
	get  func(string) string
	errs []error
}

// NewEnv returns a reader of getenv.
func NewEnv(getenv func(string) string) *Env { return &Env{get: getenv} }

// Err names every key whose value cannot be used, and why; nil when all can.
func (e *Env) Err() error {
	if err := errors.Join(e.errs...); err != nil {
		return run.UsageError{Err: fmt.Errorf("settings: %w", err)}
	}
	return nil
}

// Bad notes that a key's value cannot be used, and what is wanted.
func (e *Env) Bad(key, value, want string) {
	e.errs = append(e.errs, fmt.Errorf("%s=%q: %s", key, value, want))
}

// String returns the value of key, or def when it is unset or empty.
func (e *Env) String(key, def string) string {
	if v := strings.TrimSpace(e.get(key)); v != "" {
		return v
	}
	return def
}

// Address returns a host:port to listen on.
func (e *Env) Address(key, def string) string {
	v := e.String(key, def)
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		e.Bad(key, v, "want host:port, like 127.0.0.1:8080 or :8080")
	}
	return v
}

// URLs returns a comma-separated list of URLs of one of the schemes.
func (e *Env) URLs(key, def string, schemes ...string) []string {
	var out []string
	for part := range strings.SplitSeq(e.String(key, def), ",") {
		out = append(out, e.checkURL(key, strings.TrimSpace(part), schemes))
	}
	return out
}

// URL returns a URL of one of the schemes, or "" when key is unset and def is "".
func (e *Env) URL(key, def string, schemes ...string) string {
	v := e.String(key, def)
	if v == "" {
		return ""
	}
	return e.checkURL(key, v, schemes)
}

func (e *Env) checkURL(key, v string, schemes []string) string {
	u, err := url.Parse(v)
	ok := err == nil && u.Host != ""
	if ok {
		ok = false
		for _, s := range schemes {
			ok = ok || u.Scheme == s
		}
	}
	if !ok {
		// The value may hold a password: the key must do.
		e.errs = append(e.errs, fmt.Errorf("%s: want a URL that begins with %s://", key, strings.Join(schemes, ":// or ")))
	}
	return v
}

// secretBytesMax is more than any password has.
const secretBytesMax = 4 << 10

// Secret returns the value of key, or what the file holds that <key>_FILE names, without the white space around it; "" when neither
// is set.
func (e *Env) Secret(key string) string {
	value, file := e.String(key, ""), e.String(key+"_FILE", "")
	switch {
	case file == "":
		return value
	case value != "":
		e.errs = append(e.errs, fmt.Errorf("%s and %s_FILE: want one of them", key, key))
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		e.errs = append(e.errs, fmt.Errorf("%s_FILE: %w", key, err))
		return ""
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, secretBytesMax+1))
	text := strings.TrimSpace(string(data))
	if err == nil && (text == "" || len(data) > secretBytesMax) {
		err = fmt.Errorf("%s holds %d bytes, want 1 to %d", file, len(text), secretBytesMax)
	}
	if err != nil {
		e.errs = append(e.errs, fmt.Errorf("%s_FILE: %w", key, err))
		return ""
	}
	return text
}

// WithPassword puts the secret of key into URLs that name a user and no password. Without a secret they stay as they are.
func (e *Env) WithPassword(key string, urls ...string) []string {
	secret := e.Secret(key)
	if secret == "" {
		return urls
	}
	out := make([]string, 0, len(urls))
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil {
			return urls // it is among the mistakes already
		}
		if _, has := u.User.Password(); has || u.User.Username() == "" {
			e.errs = append(e.errs, fmt.Errorf("%s: want URLs that name a user and no password, like amqp://order@proxy:5670/", key))
			return urls
		}
		u.User = url.UserPassword(u.User.Username(), secret)
		out = append(out, u.String())
	}
	return out
}

// OneOf returns one of the allowed words; the first is the default.
func (e *Env) OneOf(key string, allowed ...string) string {
	v := e.String(key, allowed[0])
	for _, a := range allowed {
		if v == a {
			return v
		}
	}
	e.Bad(key, v, "want one of "+strings.Join(allowed, ", "))
	return v
}

// Bool returns a switch.
func (e *Env) Bool(key string, def bool) bool {
	v := e.String(key, strconv.FormatBool(def))
	b, err := strconv.ParseBool(v)
	if err != nil {
		e.Bad(key, v, "want true or false")
	}
	return b
}

// Int returns a number between two others.
func (e *Env) Int(key string, def, low, high int) int {
	v := e.String(key, strconv.Itoa(def))
	n, err := strconv.Atoi(v)
	if err != nil || n < low || n > high {
		e.Bad(key, v, fmt.Sprintf("want a number from %d to %d", low, high))
	}
	return n
}

// Duration returns a duration that is not negative.
func (e *Env) Duration(key string, def time.Duration) time.Duration {
	v := e.String(key, def.String())
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		e.Bad(key, v, "want a duration, like 500ms or 2s")
	}
	return d
}
