package rabbit_test

import (
	"os"
	"testing"

	"github.com/warren-mq/warren/broker/brokertest"
)

// brokerURL is the one place that decides on which broker the tests of this package run: the one that WARREN_TEST_AMQP_URL
// names, for example RabbitMQ at amqp://guest:guest@127.0.0.1:5672/, else a node of our own in this process.
func brokerURL(t testing.TB) string {
	t.Helper()
	if url := os.Getenv("WARREN_TEST_AMQP_URL"); url != "" {
		return url
	}
	return brokertest.Start(t).URL()
}
