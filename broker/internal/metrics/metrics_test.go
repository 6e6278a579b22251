package metrics_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/brokertest"
)

func scrape(t *testing.T, n *brokertest.Node, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.HTTPAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %s", path, resp.Status, err, b)
	}
	return string(b)
}

// overviewNames are the metrics that RabbitMQ's Grafana dashboard "RabbitMQ-Overview"
// (10991) asks for.
var overviewNames = strings.Fields(`
	rabbitmq_identity_info rabbitmq_build_info rabbitmq_connections rabbitmq_channels rabbitmq_queues rabbitmq_consumers
	rabbitmq_global_consumers rabbitmq_global_publishers rabbitmq_queue_messages_ready rabbitmq_queue_messages_unacked
	rabbitmq_global_messages_received_total rabbitmq_global_messages_received_confirm_total rabbitmq_global_messages_confirmed_total
	rabbitmq_global_messages_routed_total rabbitmq_global_messages_unroutable_returned_total rabbitmq_global_messages_unroutable_dropped_total
	rabbitmq_global_messages_delivered_total rabbitmq_global_messages_delivered_consume_manual_ack_total
	rabbitmq_global_messages_delivered_consume_auto_ack_total rabbitmq_global_messages_delivered_get_manual_ack_total
	rabbitmq_global_messages_delivered_get_auto_ack_total rabbitmq_global_messages_redelivered_total
	rabbitmq_global_messages_acknowledged_total rabbitmq_global_messages_get_empty_total
	rabbitmq_connections_opened_total rabbitmq_connections_closed_total rabbitmq_channels_opened_total rabbitmq_channels_closed_total
	rabbitmq_queues_declared_total rabbitmq_queues_created_total rabbitmq_queues_deleted_total
	rabbitmq_process_resident_memory_bytes rabbitmq_resident_memory_limit_bytes rabbitmq_disk_space_available_bytes
	rabbitmq_disk_space_available_limit_bytes rabbitmq_process_open_fds rabbitmq_process_max_fds rabbitmq_process_open_tcp_sockets
	rabbitmq_process_max_tcp_sockets rabbitmq_erlang_uptime_seconds
	rabbitmq_message_size_bytes_bucket rabbitmq_message_size_bytes_sum rabbitmq_message_size_bytes_count`)

// raftNames are those that its dashboard "RabbitMQ-Quorum-Queues-Raft" (11340) asks for, and
// what they are called since RabbitMQ 4.2.
var raftNames = strings.Fields(`
	rabbitmq_identity_info rabbitmq_raft_log_commit_index rabbitmq_raft_log_last_written_index rabbitmq_raft_log_snapshot_index
	rabbitmq_raft_log_last_applied_index rabbitmq_raft_term_total rabbitmq_raft_entry_commit_latency_seconds
	rabbitmq_raft_commit_index rabbitmq_raft_last_applied rabbitmq_raft_last_written_index rabbitmq_raft_snapshot_index rabbitmq_raft_commit_latency_seconds`)

var sampleName = regexp.MustCompile(`(?m)^([a-z_]+)(?:\{[^\n]*\})? `)

func names(page string) (all []string) {
	for _, m := range sampleName.FindAllStringSubmatch(page, -1) {
		all = append(all, m[1])
	}
	return all
}

// asked returns the metrics that a dashboard's queries name.
func asked(t *testing.T, file string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Title  string
		Panels []struct {
			Title, Description, Type string
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`(?:rabbitmq|warren)_[a-z_]+`)
	for _, p := range d.Panels {
		if p.Type != "row" && (len(p.Targets) == 0 || p.Description == "") {
			t.Errorf("panel %s has no query, or does not explain itself", p.Title)
		}
		for _, q := range p.Targets {
			for _, n := range name.FindAllString(q.Expr, -1) {
				if n != "rabbitmq_cluster" && n != "rabbitmq_node" && n != "rabbitmq_endpoint" { // labels
					all = append(all, n)
				}
			}
		}
	}
	return all
}

func TestDashboardsFindTheirMetrics(t *testing.T) {
	n := brokertest.Start(t)
	_, ch := brokertest.Dial(t, n.URL())
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Consume("q", "", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	have := names(scrape(t, n, "/metrics"))
	for what, want := range map[string][]string{
		"RabbitMQ-Overview": overviewNames, "RabbitMQ-Quorum-Queues-Raft": raftNames, "ours": asked(t, "../../../deploy/grafana/warren.json"),
	} {
		if len(want) < 12 {
			t.Errorf("%s asks for %d metrics only", what, len(want))
		}
		for _, name := range want {
			if !slices.Contains(have, name) {
				t.Errorf("%s asks for %s, which there is not", what, name)
			}
		}
	}
}

// value returns a sample of a page.
func value(t *testing.T, page, sample string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, sample+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err != nil {
				t.Fatal(line, err)
			}
			return v
		}
	}
	t.Errorf("no sample %s", sample)
	return -1
}

func TestValues(t *testing.T) {
	n := brokertest.Start(t)
	c, ch := brokertest.Dial(t, n.URL())
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 1))
	for _, q := range []string{"a", "b"} {
		if _, err := ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{"a", "a", "b", "nowhere"} {
		if err := ch.PublishWithContext(t.Context(), "", q, false, false, amqp.Publishing{Body: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
		<-confirms
	}
	d, ok, err := ch.Get("a", false)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for sample, want := range map[string]float64{"rabbitmq_channel_messages_unacked": 1, "rabbitmq_channel_messages_unconfirmed": 0} {
		if got := value(t, scrape(t, n, "/metrics"), sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	if err := d.Ack(false); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := ch.Get("b", true); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, ok, err := ch.Get("b", true); err != nil || ok {
		t.Fatal(ok, err)
	}
	if err := c.Close(); err != nil { // what was counted stays
		t.Fatal(err)
	}
	page := scrape(t, n, "/metrics")
	const of = `{protocol="amqp091"}`
	for sample, want := range map[string]float64{
		"rabbitmq_global_messages_received_total" + of: 4, "rabbitmq_global_messages_received_confirm_total" + of: 4, "rabbitmq_global_messages_confirmed_total" + of: 4,
		"rabbitmq_global_messages_routed_total" + of: 3, "rabbitmq_global_messages_unroutable_dropped_total" + of: 1,
		"rabbitmq_global_messages_delivered_total" + of: 2, "rabbitmq_global_messages_delivered_get_manual_ack_total" + of: 1,
		"rabbitmq_global_messages_delivered_get_auto_ack_total" + of: 1, "rabbitmq_global_messages_get_empty_total" + of: 1,
		"rabbitmq_global_messages_acknowledged_total" + of: 1, "rabbitmq_queue_messages_ready": 1, "rabbitmq_queues": 2, "rabbitmq_queues_created_total": 2,
		"rabbitmq_channel_messages_published_total": 4, "rabbitmq_channel_messages_confirmed_total": 4, "rabbitmq_queue_messages_published_total": 3,
		"rabbitmq_channel_messages_unroutable_dropped_total": 1, "rabbitmq_channel_messages_unroutable_returned_total": 0, "rabbitmq_channel_get_ack_total": 1,
		"rabbitmq_channel_get_total": 1, "rabbitmq_channel_get_empty_total": 1, "rabbitmq_channel_messages_acked_total": 1, "rabbitmq_channel_consumers": 0,
		`warren_queue_messages{queue="a",vhost="/"}`: 1, `warren_queue_messages{queue="b",vhost="/"}`: 0,
		"rabbitmq_message_size_bytes_count": 4, "rabbitmq_message_size_bytes_sum": 4000, `rabbitmq_message_size_bytes_bucket{le="512"}`: 0,
		`rabbitmq_message_size_bytes_bucket{le="1024"}`: 4, "warren_confirm_seconds_count": 3, "rabbitmq_connections": 0, "rabbitmq_connections_opened_total": 1,
	} {
		if got := value(t, page, sample); got != want {
			t.Errorf("%s is %v, want %v", sample, got, want)
		}
	}
	if value(t, page, "warren_sync_seconds_count") == 0 || value(t, page, "warren_confirm_seconds_sum") == 0 {
		t.Error("nothing was measured")
	}
}

func TestQueuesOneByOneAreBounded(t *testing.T) {
	n := brokertest.Start(t, func(c *broker.Config) { c.MetricsTop, c.MetricsQueues = 2, "^vip" })
	_, ch := brokertest.Dial(t, n.URL())
	for i := range 6 {
		name := fmt.Sprintf("q%d", i)
		if i == 5 {
			name = "vip"
		}
		if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
		for range i % 5 {
			if err := ch.PublishWithContext(t.Context(), "", name, false, false, amqp.Publishing{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := ch.QueueDeclarePassive("q4", true, false, false, false, nil); err != nil { // behind the publishes
		t.Fatal(err)
	}
	told := func(path, prefix string) (queues []string) {
		for _, m := range regexp.MustCompile(`(?m)^`+prefix+`_messages\{queue="([^"]+)"`).FindAllStringSubmatch(scrape(t, n, path), -1) {
			queues = append(queues, m[1])
		}
		return queues
	}
	for path, want := range map[string]string{
		"/metrics": "[q3 q4 vip]", "/metrics?top=1&queue=^q0$": "[q0 q4]", "/metrics?top=0&vhost=other": "[]",
	} {
		if got := fmt.Sprint(told(path, "warren_queue")); got != want {
			t.Errorf("%s tells of %s, want %s", path, got, want)
		}
	}
	if got := fmt.Sprint(told("/metrics/per-object", "rabbitmq_queue")); got != "[q3 q4 vip]" {
		t.Error(got)
	}
	if got := fmt.Sprint(told("/metrics/detailed?family=queue_coarse_metrics", "rabbitmq_detailed_queue")); got != "[q3 q4 vip]" {
		t.Error(got)
	}
	if page := scrape(t, n, "/metrics/detailed?family=connection_coarse_metrics"); !strings.Contains(page, "rabbitmq_detailed_connection_incoming_bytes_total{") {
		t.Error(page)
	}
	if page := scrape(t, n, "/metrics/memory-breakdown"); !strings.Contains(page, "rabbitmq_memory_rss_bytes") {
		t.Error(page)
	}
}

// TestAPortOfTheirOwn serves the metrics, and nothing else, where RabbitMQ has them.
func TestAPortOfTheirOwn(t *testing.T) {
	n := brokertest.Start(t, func(c *broker.Config) { c.MetricsListen = "127.0.0.1:0" })
	c, ch := brokertest.Dial(t, n.URL())
	for range 3 {
		if err := ch.PublishWithContext(t.Context(), "amq.fanout", "", false, false, amqp.Publishing{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ch.QueueDeclare("", false, false, true, false, nil); err != nil { // behind the publishes
		t.Fatal(err)
	}
	read := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.MetricsAddr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for path, sample := range map[string]string{
		"/metrics":            "rabbitmq_exchange_messages_published_total",
		"/metrics/per-object": `rabbitmq_exchange_messages_published_total{exchange="amq.fanout",vhost="/"}`,
		"/metrics/detailed?family=exchange_metrics&vhost=/": `rabbitmq_detailed_exchange_messages_published_total{exchange="amq.fanout",vhost="/"}`,
	} {
		status, page := read(path)
		if status != http.StatusOK || value(t, page, sample) != 3 {
			t.Errorf("%s: %d", path, status)
		}
		endpoint := strings.Fields(strings.NewReplacer("/metrics/", "", "/metrics", "aggregated", "?", " ").Replace(path))[0]
		if !strings.Contains(page, `rabbitmq_endpoint="`+endpoint+`"`) {
			t.Errorf("%s does not say that it is %s", path, endpoint)
		}
	}
	for _, path := range []string{"/", "/api/overview", "/app.js"} {
		if status, _ := read(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}
