package memory_test

import (
	"testing"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
	"github.com/warren-mq/warren/libs/stream/streamtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	broker := memory.NewBroker()
	streamtest.Run(t, func(*testing.T) stream.Binder { return memory.New(broker) })
}
