package chassis

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/warren-mq/warren/libs/run"
)

func read(env map[string]string) (Config, error) {
	e := NewEnv(func(k string) string { return env[k] })
	return Read(e, "order", "8080"), e.Err()
}

func TestDefaults(t *testing.T) {
	c, err := read(nil)
	if err != nil || c.Address != "127.0.0.1:8080" || c.Database != ".warren/data/order/order.db" || c.AMQP[0] != DefaultAMQP || !c.Quorum {
		t.Errorf("%+v %v", c, err)
	}
}

func TestPasswordsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s/3@cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := read(map[string]string{
		"AMQP_ADDRESSES": "amqp://order@b1/,amqps://order@b2/", "AMQP_PASSWORD_FILE": file,
		"ORDER_DATABASE_URL": "postgres://order@db/order", "ORDER_DATABASE_PASSWORD": "x y",
	})
	if want := []string{"amqp://order:s%2F3%40cret@b1/", "amqps://order:s%2F3%40cret@b2/"}; err != nil || !slices.Equal(c.AMQP, want) {
		t.Errorf("%v, not %v: %v", c.AMQP, want, err)
	}
	if want := "postgres://order:x%20y@db/order"; c.Database != want {
		t.Errorf("%s, not %s", c.Database, want)
	}
	for name, env := range map[string]map[string]string{
		"both":            {"AMQP_ADDRESSES": "amqp://order@b1/", "AMQP_PASSWORD_FILE": file, "AMQP_PASSWORD": "x"},
		"no file":         {"AMQP_ADDRESSES": "amqp://order@b1/", "AMQP_PASSWORD_FILE": file + ".no"},
		"no user":         {"AMQP_ADDRESSES": "amqp://b1/", "AMQP_PASSWORD_FILE": file},
		"two passwords":   {"AMQP_PASSWORD_FILE": file},
		"a device":        {"AMQP_ADDRESSES": "amqp://order@b1/", "AMQP_PASSWORD_FILE": "/dev/zero"},
		"nothing in file": {"AMQP_ADDRESSES": "amqp://order@b1/", "AMQP_PASSWORD_FILE": "/dev/null"},
	} {
		if _, err := read(env); err == nil || !strings.Contains(err.Error(), "AMQP_PASSWORD") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := read(map[string]string{
		"ORDER_HTTP": "8080", "AMQP_ADDRESSES": "amqp://u:secret@b1,http://b2", "QUORUM_QUEUES": "perhaps", "LOG_LEVEL": "loud", "LOG_FORMAT": "xml",
		"ORDER_DATABASE_URL": "mysql://u:secret@x", "TRACE_URL": "nowhere", "CONSUMER_ATTEMPTS": "0", "FAILURES": "some", "HTTP_TLS_CERT": "cert.pem",
	})
	var usage run.UsageError
	if !errors.As(err, &usage) {
		t.Fatalf("%v is no usage error", err)
	}
	for _, key := range []string{"ORDER_HTTP", "AMQP_ADDRESSES", "QUORUM_QUEUES", "LOG_LEVEL", "LOG_FORMAT", "ORDER_DATABASE_URL", "TRACE_URL", "CONSUMER_ATTEMPTS", "FAILURES", "HTTP_TLS_KEY"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named in: %v", key, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is shown: %v", err)
	}
}
