package management

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/warren-mq/warren/broker/internal/node"
)

// BenchmarkAllQueues is a list of 10,000 queues, from what the nodes have told to bytes.
func BenchmarkAllQueues(b *testing.B) {
	all := make([]node.QueueStatus, 10_000)
	for i := range all {
		q := &all[i]
		q.Name, q.VHost, q.Type, q.Durable, q.State, q.Leader = fmt.Sprintf("queue-%d", i), "/", "quorum", true, "running", "broker-1"
		q.Members, q.Online = []string{"broker-1", "broker-2", "broker-3"}, []string{"broker-1", "broker-2", "broker-3"}
		if i%5 == 0 {
			q.Counts[node.StatPublish], q.Ready, q.Bytes = uint64(i), i, int64(1000*i)
		}
	}
	h := &handler{large: make(chan struct{}, largeAtOnce)}
	r := &request{Request: httptest.NewRequest(http.MethodGet, "/api/queues", nil)}
	b.ReportAllocs()
	for b.Loop() {
		w := &counting{header: http.Header{}}
		err := h.list(w, r, rows{
			n: len(all), name: func(i int) string { return all[i].Name }, entry: func(i int, m map[string]any) map[string]any { return queueJSON(m, &all[i], spans{}) },
		})
		if err != nil || w.status != http.StatusOK {
			b.Fatal(w.status, err)
		}
		b.SetBytes(w.n)
	}
}

// counting takes an answer and keeps nothing of it.
type counting struct {
	header http.Header
	status int
	n      int64
}

func (c *counting) Header() http.Header    { return c.header }
func (c *counting) WriteHeader(status int) { c.status = status }

func (c *counting) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
