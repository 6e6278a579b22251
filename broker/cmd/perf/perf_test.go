package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/brokertest"
	"github.com/warren-mq/warren/broker/internal/process"
)

func noEnv(string) string { return "" }

// measure runs perf with --json and returns its result.
func measure(t *testing.T, args ...string) result {
	t.Helper()
	var out, notes bytes.Buffer
	if code := run(context.Background(), append(args, "--json"), noEnv, &out, &notes); code != process.ExitOK {
		t.Fatalf("exit %d: %s%s", code, out.String(), notes.String())
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRuns(t *testing.T) {
	url := brokertest.Start(t).URL()
	tests := []struct {
		name string
		args []string
		sent uint64
	}{
		{"defaults", []string{"-C", "500"}, 500},
		{"many", []string{"-x", "3", "-y", "2", "-C", "200", "--queue-count", "2", "-c", "7", "-q", "10", "-A", "5"}, 600},
		{"small bodies, auto-ack", []string{"-C", "300", "-s", "1", "--auto-ack", "--transient"}, 300},
		{"rate", []string{"-C", "50", "-r", "1000", "-s", "5000"}, 50},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := measure(t, append([]string{"-h", url, "-u", "perf-" + strings.Fields(tt.name)[0]}, tt.args...)...)
			if r.Sent != tt.sent || r.Confirmed != tt.sent || r.Received != tt.sent || r.Duplicates != 0 || r.Foreign != 0 ||
				r.Lost == nil || *r.Lost != 0 || r.Unconfirmed != 0 || r.Returned != 0 || r.Refused != 0 {
				t.Errorf("%+v", r)
			}
			if r.Consume.P50 <= 0 || r.Confirm.P99 <= 0 || r.Consume.Max < r.Consume.P99 || r.SendRate <= 0 {
				t.Errorf("latencies: %+v", r)
			}
		})
	}
	t.Run("without confirms", func(t *testing.T) {
		r := measure(t, "-h", url, "-C", "300", "-c", "0")
		if r.Received != 300 || r.Lost != nil || r.Confirmed != 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("without consumers, then without producers", func(t *testing.T) {
		r := measure(t, "-h", url, "-C", "100", "-y", "0", "-u", "left", "--keep")
		if r.Sent != 100 || r.Received != 0 || r.Lost != nil {
			t.Errorf("%+v", r)
		}
		r = measure(t, "-h", url, "-x", "0", "-z", "1", "-u", "left")
		if r.Foreign != 100 || r.Received != 0 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("for a time", func(t *testing.T) {
		var out bytes.Buffer
		code := run(context.Background(), []string{"-h", url, "-z", "1", "-r", "200"}, noEnv, &out, io.Discard)
		if code != process.ExitOK || !strings.Contains(out.String(), "lost      0") || !strings.Contains(out.String(), "confirm latency (ms): p50") {
			t.Errorf("exit %d: %s", code, out.String())
		}
	})
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown flag", []string{"--what"}, process.ExitUsage, "perf: unknown flag --what"},
		{"uri", []string{"-h", "http://x/"}, process.ExitUsage, "AMQP scheme"},
		{"nobody", []string{"-x", "0", "-y", "0"}, process.ExitUsage, "between 1 and"},
		{"acks", []string{"-A", "50", "-q", "10"}, process.ExitUsage, "nothing would ever be acked"},
		{"nobody there", []string{"-h", "amqp://127.0.0.1:1/"}, process.ExitError, "connection refused"},
		{"help", []string{"--help"}, process.ExitOK, "PERF_QUEUE_COUNT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(context.Background(), tt.args, noEnv, &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d: %s", code, out.String())
			}
		})
	}
	cfg, _, err := parse(nil, func(k string) string { return map[string]string{"PERF_QUEUE_COUNT": "3"}[k] }, io.Discard)
	if err != nil || cfg.Queues != 3 || cfg.queueName(4) != "perf-2" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	r := rand.New(rand.NewPCG(1, 1))
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(r.ExpFloat64() * float64(10*time.Millisecond))
		all = append(all, d)
		h.record(d)
	}
	slices.Sort(all)
	c := h.counts()
	for _, p := range []float64{1, 50, 95, 99, 99.9} {
		want := all[int(p/100*float64(len(all)))]
		if got := c.percentile(p); got < want || float64(got-want) > 0.04*float64(want)+1 {
			t.Errorf("p%v = %s, want %s", p, got, want)
		}
	}
	if h.max.Load() != int64(all[len(all)-1]) {
		t.Error("max")
	}
	for _, v := range []uint64{0, 1, 31, 32, 63, 64, 65, 1 << 20, 1<<62 + 12345} {
		i := bucketOf(v)
		if upper(i) < v || i > 0 && upper(i-1) >= v {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, upper(i))
		}
	}
	if new(counts).percentile(50) != 0 {
		t.Error("a percentile of nothing")
	}
}

func TestLedger(t *testing.T) {
	l := newLedger(1)
	a := l.accounts[0]
	for range 200 {
		a.send()
	}
	for i := range uint64(150) {
		a.confirm(i, i != 7)
	}
	a.returnedToSender(9)
	for i := range uint64(140) {
		if i == 9 || i == 20 {
			continue
		}
		l.receive(stamp{run: 5, seq: i}, true, 5)
	}
	l.receive(stamp{run: 5, seq: 3}, true, 5)
	l.receive(stamp{run: 4, seq: 3}, true, 5)
	l.receive(stamp{}, false, 5)
	got := l.totals()
	want := totals{sent: 200, confirmed: 149, refused: 1, returned: 1, received: 138, duplicates: 1, missing: 11, pending: 60}
	if got != want || l.foreign.Load() != 2 {
		t.Errorf("got %+v, %d foreign\nwant %+v", got, l.foreign.Load(), want)
	}
}
