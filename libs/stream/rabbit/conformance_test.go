package rabbit_test

import (
	"testing"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/rabbit"
	"github.com/warren-mq/warren/libs/stream/streamtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	url := brokerURL(t)
	streamtest.Run(t, func(t *testing.T) stream.Binder { return newBinder(t, url) })
}

func newBinder(t *testing.T, addresses ...string) *rabbit.Binder {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{Addresses: addresses, ConnectionName: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
