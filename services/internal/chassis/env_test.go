package chassis

import (
	"errors"
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

func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := read(map[string]string{
		"ORDER_HTTP": "8080", "AMQP_ADDRESSES": "amqp://u:secret@b1,http://b2", "QUORUM_QUEUES": "perhaps", "LOG_LEVEL": "loud", "LOG_FORMAT": "xml",
		"ORDER_DATABASE_URL": "mysql://u:secret@x", "TRACE_URL": "nowhere", "CONSUMER_ATTEMPTS": "0", "FAILURES": "some",
	})
	var usage run.UsageError
	if !errors.As(err, &usage) {
		t.Fatalf("%v is no usage error", err)
	}
	for _, key := range []string{"ORDER_HTTP", "AMQP_ADDRESSES", "QUORUM_QUEUES", "LOG_LEVEL", "LOG_FORMAT", "ORDER_DATABASE_URL", "TRACE_URL", "CONSUMER_ATTEMPTS", "FAILURES"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named in: %v", key, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("a password is shown: %v", err)
	}
}
