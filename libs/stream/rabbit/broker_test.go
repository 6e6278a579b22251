package rabbit_test

import (
	"os"
	"testing"
)

// brokerURL is the one place that decides on which broker the tests of this package run.
func brokerURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("WARREN_TEST_AMQP_URL")
	if url == "" {
		t.Skip("WARREN_TEST_AMQP_URL is not set: give the URL of a broker, for example amqp://guest:guest@127.0.0.1:5672/")
	}
	return url
}
