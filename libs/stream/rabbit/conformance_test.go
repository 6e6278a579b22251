package rabbit_test

import (
	"log/slog"
	"testing"

	"github.com/warren-mq/warren/broker/brokertest"
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

// The same with replicated queues wherever they can be.
func TestConformanceOnQuorumQueues(t *testing.T) {
	url := brokerURL(t)
	streamtest.Run(t, func(t *testing.T) stream.Binder {
		b, err := rabbit.New(rabbit.Config{
			Addresses: []string{url}, ConnectionName: t.Name(), Logger: slog.New(slog.DiscardHandler),
			Customize: func(_ stream.Binding, topology *rabbit.Topology) {
				for _, q := range topology.Queues {
					if q.Durable && q.Args["x-max-priority"] == nil {
						q.Args["x-queue-type"] = "quorum"
					}
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

func newBinder(t *testing.T, addresses ...string) *rabbit.Binder {
	t.Helper()
	b, err := rabbit.New(rabbit.Config{Addresses: addresses, ConnectionName: t.Name(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The same on three nodes, each binder with all of them to choose from.
func TestConformanceOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes three brokers")
	}
	urls := brokertest.StartCluster(t, 3).URLs()
	next := 0
	streamtest.Run(t, func(t *testing.T) stream.Binder {
		next++
		return newBinder(t, urls[next%3], urls[(next+1)%3], urls[(next+2)%3])
	})
}
