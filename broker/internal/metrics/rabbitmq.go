package metrics

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/node"
)

// compatibleVersion is the RabbitMQ whose metrics these are.
const compatibleVersion = "4.3.0"

// aggregated is the main page: the sums of this node, and its largest queues.
func (x *collector) aggregated() {
	x.identity("aggregated")
	queues := x.queues()
	x.totals(queues)
	x.global()
	x.machine()
	x.latencies()
	x.raft()
	x.exchanges("rabbitmq_", false)
	for _, q := range x.told(queues) {
		x.queue("warren_queue_", q)
	}
}

func (x *collector) identity(endpoint string) {
	name := ""
	x.n.View(func(s *metadata.State) { name = s.NameOfCluster() })
	x.gauge("rabbitmq_identity_info", "The node and its cluster", 1, "rabbitmq_node", x.n.Name(), "rabbitmq_cluster", name,
		"rabbitmq_cluster_permanent_id", "warren-cluster-id-"+x.n.ClusterID(), "rabbitmq_endpoint", endpoint)
	x.gauge("rabbitmq_build_info", "The broker's version, and whose metrics these are", 1, "rabbitmq_version", compatibleVersion, "prometheus_client_version", "1.23.2",
		"prometheus_plugin_version", compatibleVersion, "erlang_version", runtime.Version(), "product_name", "Warren", "product_version", x.version)
}

// totals are the sums over queues, connections and channels.
func (x *collector) totals(queues []node.QueueStatus) {
	m := x.uses()
	x.gauge("rabbitmq_connections", "Open connections", float64(m.Connections))
	x.gauge("rabbitmq_channels", "Open channels", float64(m.Channels))
	x.gauge("rabbitmq_queues", "Queues whose leader is here", float64(len(queues)))
	sum := node.QueueStatus{}
	hungry := 0
	for i := range queues {
		q := &queues[i]
		sum.Ready += q.Ready
		sum.Unacked += q.Unacked
		sum.Consumers += q.Consumers
		sum.Bytes += q.Bytes
		sum.ReadyBytes += q.ReadyBytes
		hungry += q.Hungry
	}
	x.gauge("rabbitmq_consumers", "Consumers of queues whose leader is here", float64(sum.Consumers))
	x.gauge("rabbitmq_queue_messages_ready", "Messages ready to be delivered", float64(sum.Ready))
	x.gauge("rabbitmq_queue_messages_unacked", "Messages delivered and not acknowledged yet", float64(sum.Unacked))
	x.gauge("rabbitmq_queue_messages", "Sum of ready and unacknowledged messages", float64(sum.Ready+sum.Unacked))
	x.gauge("rabbitmq_queue_messages_bytes", "Bytes of their bodies", float64(sum.Bytes))
	x.gauge("rabbitmq_queue_messages_ready_bytes", "Bytes of the bodies of ready messages", float64(sum.ReadyBytes))
	x.gauge("rabbitmq_queue_messages_unacked_bytes", "Bytes of the bodies of unacknowledged messages", float64(max(sum.Bytes-sum.ReadyBytes, 0)))
	x.gauge("rabbitmq_queue_consumers", "Consumers", float64(sum.Consumers))
	if sum.Consumers > 0 {
		x.gauge("rabbitmq_queue_consumer_capacity", "Share of the consumers that would take a message at once", float64(hungry)/float64(sum.Consumers))
	}
	c := x.n.Churn()
	x.counter("rabbitmq_connections_opened_total", "Connections opened", c.ConnectionsOpened)
	x.counter("rabbitmq_connections_closed_total", "Connections closed", c.ConnectionsClosed)
	x.counter("rabbitmq_channels_opened_total", "Channels opened", c.ChannelsOpened)
	x.counter("rabbitmq_channels_closed_total", "Channels closed", c.ChannelsClosed)
	x.counter("rabbitmq_queues_declared_total", "Declarations of queues, there or not", c.QueuesDeclared)
	x.counter("rabbitmq_queues_created_total", "Queues created", c.QueuesCreated)
	x.counter("rabbitmq_queues_deleted_total", "Queues deleted", c.QueuesDeleted)
	x.counter("rabbitmq_auth_attempts_total", "Logins tried", c.LoginsGood+c.LoginsBad)
	x.counter("rabbitmq_auth_attempts_succeeded_total", "Logins that were good", c.LoginsGood)
	x.counter("rabbitmq_auth_attempts_failed_total", "Logins that were not", c.LoginsBad)
	for i, reason := range [...]string{"rejected", "expired", "maxlen", "delivery_limit"} {
		x.counter("rabbitmq_global_messages_dead_lettered_"+reason+"_total", "Messages dead-lettered because of that, whose copies are stored", c.DeadLettered[i],
			"queue_type", "all", "dead_letter_strategy", "confirmed")
	}
	var dead uint64
	for _, n := range c.DeadLettered {
		dead += n
	}
	x.counter("rabbitmq_global_messages_dead_lettered_confirmed_total", "Messages dead-lettered, whose copies are stored", dead, "queue_type", "all", "dead_letter_strategy", "confirmed")
}

// global are the counters of all channels of the node: under the names that RabbitMQ has for
// them since 3.9, and without a label under those from before, which its alerting rules and
// older dashboards ask for.
func (x *collector) global() {
	t := x.n.Totals()
	for _, c := range []struct {
		name, before, help string
		n                  uint64
	}{
		{"received", "channel_messages_published", "Messages received from publishers", t[node.StatPublish]},
		{"received_confirm", "", "Those that wait for a confirm", t[node.StatPublishConfirm]},
		{"confirmed", "channel_messages_confirmed", "Messages confirmed to publishers", t[node.StatConfirm]},
		{"routed", "queue_messages_published", "Messages that went to a queue", t[node.StatPublish] - min(t[node.StatReturn]+t[node.StatDrop], t[node.StatPublish])},
		{"unroutable_returned", "channel_messages_unroutable_returned", "Messages that went nowhere and were returned", t[node.StatReturn]},
		{"unroutable_dropped", "channel_messages_unroutable_dropped", "Messages that went nowhere and were dropped", t[node.StatDrop]},
		{"delivered", "", "Messages delivered", t[node.StatDeliver] + t[node.StatDeliverNoAck] + t[node.StatGet] + t[node.StatGetNoAck]},
		{"delivered_consume_manual_ack", "channel_messages_delivered_ack", "To consumers that acknowledge", t[node.StatDeliver]},
		{"delivered_consume_auto_ack", "channel_messages_delivered", "To consumers that do not", t[node.StatDeliverNoAck]},
		{"delivered_get_manual_ack", "channel_get_ack", "Fetched, to be acknowledged", t[node.StatGet]},
		{"delivered_get_auto_ack", "channel_get", "Fetched, not to be acknowledged", t[node.StatGetNoAck]},
		{"redelivered", "channel_messages_redelivered", "Of all deliveries, those that are not the first", t[node.StatRedeliver]},
		{"acknowledged", "channel_messages_acked", "Messages acknowledged", t[node.StatAck]},
		{"get_empty", "channel_get_empty", "Fetches that found nothing", t[node.StatGetEmpty]},
	} {
		x.counter("rabbitmq_global_messages_"+c.name+"_total", c.help, c.n, "protocol", "amqp091")
		if c.before != "" {
			x.counter("rabbitmq_"+c.before+"_total", c.help, c.n)
		}
	}
	a := x.n.Activity()
	x.gauge("rabbitmq_global_publishers", "Channels that have published", float64(a.Publishers), "protocol", "amqp091")
	x.gauge("rabbitmq_global_consumers", "Consumers of clients of this node", float64(a.Consumers), "protocol", "amqp091")
	x.gauge("rabbitmq_channel_consumers", "Consumers of clients of this node", float64(a.Consumers))
	x.gauge("rabbitmq_channel_messages_unacked", "Messages not acknowledged yet", float64(a.Unacked))
	x.gauge("rabbitmq_channel_messages_unconfirmed", "Messages not confirmed yet", float64(a.Unconfirmed))
}

// machine is what the process uses.
func (x *collector) machine() {
	m := x.uses()
	x.gauge("rabbitmq_process_resident_memory_bytes", "Memory in use", float64(m.MemoryUsed))
	x.gauge("rabbitmq_resident_memory_limit_bytes", "Memory past which nobody may publish", float64(m.MemoryLimit))
	x.gauge("rabbitmq_disk_space_available_bytes", "Free disk space", float64(m.DiskFree))
	x.gauge("rabbitmq_disk_space_available_limit_bytes", "Free disk space below which nobody may publish", float64(m.DiskLimit))
	x.gauge("rabbitmq_process_open_fds", "Files and sockets open", float64(m.FilesOpen))
	x.gauge("rabbitmq_process_max_fds", "Files and sockets that may be open", float64(m.FilesMax))
	x.gauge("rabbitmq_process_open_tcp_sockets", "Client connections", float64(m.Connections))
	x.gauge("rabbitmq_process_max_tcp_sockets", "Sockets that may be open", float64(m.FilesMax))
	x.gauge("rabbitmq_erlang_uptime_seconds", "Time since the node started; the name is RabbitMQ's", time.Since(m.Started).Seconds())
	x.gauge("rabbitmq_erlang_processes_used", "Goroutines; the name is RabbitMQ's", float64(m.Goroutines))
	x.gauge("rabbitmq_alarms_memory_used_watermark", "1 while the memory alarm is on", flag(m.Alarm&node.MemoryAlarm != 0))
	x.gauge("rabbitmq_alarms_free_disk_space_watermark", "1 while the disk alarm is on", flag(m.Alarm&node.DiskAlarm != 0))
	x.gauge("rabbitmq_alarms_file_descriptor_limit", "1 while too many files are open", flag(m.FilesMax > 0 && m.FilesOpen > m.FilesMax*9/10))
	x.gauge("warren_heap_bytes", "Memory that the program's objects take", float64(m.HeapBytes))
	x.gauge("warren_log_bytes", "Write-ahead log on disk", float64(m.LogBytes))
	x.gauge("warren_run_bytes", "Files of messages that were not taken at once", float64(m.RunBytes))
	x.gauge("warren_snapshot_bytes", "Snapshots on disk", float64(m.SnapshotBytes))
	x.gauge("warren_placement_groups", "Placement groups that the node holds", float64(m.Groups))
	x.gauge("warren_placement_groups_led", "Placement groups that the node leads", float64(m.Led))
	x.gauge("warren_disk_stalled_seconds", "For how long a write has been waiting for the disk", m.DiskStalled.Seconds())
}

const (
	microsecond = 1e-6
	// Buckets of times, from 64 microseconds to 67 seconds, and of sizes, from 64 bytes to
	// 16 MiB: powers of two.
	timeFrom, timeTo = 6, 26
	sizeFrom, sizeTo = 6, 24
)

func (x *collector) latencies() {
	h := x.n.Histograms()
	x.histogram("rabbitmq_message_size_bytes", "Bodies published", &h.Size, 1, sizeFrom, sizeTo)
	x.histogram("warren_confirm_seconds", "From a publish to its confirm", &h.Confirm, microsecond, timeFrom, timeTo)
	x.histogram("warren_queue_wait_seconds", "From a message's arrival in a queue to its first delivery; of some messages", &h.Queued, microsecond, timeFrom, timeTo)
	x.histogram("warren_replication_seconds", "From the proposal of a log entry to its application, of groups led here; of some entries", &h.Replicate, microsecond, timeFrom, timeTo)
	x.histogram("warren_sync_seconds", "One write to the write-ahead log, with its sync", &h.Sync, microsecond, timeFrom, timeTo)
}

// queue tells of one queue.
func (x *collector) queue(prefix string, q *node.QueueStatus) {
	labels := []string{"vhost", q.VHost, "queue", q.Name}
	for _, g := range []struct {
		name, help string
		v          float64
	}{
		{"messages_ready", "Messages ready to be delivered", float64(q.Ready)},
		{"messages_unacked", "Messages delivered and not acknowledged yet", float64(q.Unacked)},
		{"messages", "Sum of ready and unacknowledged messages", float64(q.Ready + q.Unacked)},
		{"messages_bytes", "Bytes of their bodies", float64(q.Bytes)},
		{"messages_ready_bytes", "Bytes of the bodies of ready messages", float64(q.ReadyBytes)},
		{"consumers", "Consumers", float64(q.Consumers)},
	} {
		x.gauge(prefix+g.name, g.help, g.v, labels...)
	}
	capacity := 0.0
	if q.Consumers > 0 {
		capacity = float64(q.Hungry) / float64(q.Consumers)
	}
	x.gauge(prefix+"consumer_capacity", "Share of the consumers that would take a message at once", capacity, labels...)
	for _, c := range []struct {
		name, help string
		n          uint64
	}{
		{"messages_published_total", "Messages that came, since the queue's leader leads", q.Counts[node.StatPublish]},
		{"messages_delivered_total", "Deliveries, since the queue's leader leads", q.Counts[node.StatDeliver] + q.Counts[node.StatDeliverNoAck]},
		{"messages_acked_total", "Acknowledgements, since the queue's leader leads", q.Counts[node.StatAck]},
		{"messages_redelivered_total", "Deliveries that are not the first, since the queue's leader leads", q.Counts[node.StatRedeliver]},
	} {
		x.counter(prefix+c.name, c.help, c.n, labels...)
	}
}

// perObject tells of queues and exchanges one by one, and of nothing else that the main
// page sums up.
func (x *collector) perObject(prefix string) {
	x.identity("per-object")
	x.exchanges(prefix, true)
	for _, q := range x.told(x.queues()) {
		x.queue(prefix+"queue_", q)
	}
}

// Families of the page /metrics/detailed.
const (
	familyQueues      = "queue_coarse_metrics"
	familyConsumers   = "queue_consumer_count"
	familyConnections = "connection_coarse_metrics"
	familyChannels    = "channel_queue_metrics"
	familyExchanges   = "exchange_metrics"
)

// detailed tells of what families were asked for.
func (x *collector) detailed(families []string) {
	const prefix = "rabbitmq_detailed_"
	x.identity("detailed")
	if slices.Contains(families, familyExchanges) {
		x.exchanges(prefix, true)
	}
	if slices.Contains(families, familyQueues) || slices.Contains(families, familyConsumers) {
		for _, q := range x.told(x.queues()) {
			x.queue(prefix+"queue_", q)
		}
	}
	if !slices.Contains(families, familyConnections) && !slices.Contains(families, familyChannels) {
		return
	}
	all := x.n.ConnectionsHere()
	for _, c := range all[:min(len(all), objectsMax)] {
		if slices.Contains(families, familyConnections) {
			x.counter(prefix+"connection_incoming_bytes_total", "Bytes received", c.Received, "connection", c.Name)
			x.counter(prefix+"connection_outgoing_bytes_total", "Bytes sent", c.Sent, "connection", c.Name)
			x.gauge(prefix+"connection_channels", "Channels", float64(len(c.Channels)), "connection", c.Name)
		}
		for _, ch := range c.Channels {
			if slices.Contains(families, familyChannels) {
				labels := []string{"connection", c.Name, "channel", c.Name + " (" + itoa(ch.Number) + ")"}
				x.gauge(prefix+"channel_messages_unacked", "Messages not acknowledged yet", float64(ch.Unacked), labels...)
				x.gauge(prefix+"channel_messages_unconfirmed", "Messages not confirmed yet", float64(ch.Unconfirmed), labels...)
				x.gauge(prefix+"channel_prefetch", "Prefetch count of new consumers", float64(ch.Prefetch), labels...)
			}
		}
	}
}

// exchanges tells what clients of this node published to exchanges: of all together, or of
// each, those with the most messages, and at most objectsMax.
func (x *collector) exchanges(prefix string, each bool) {
	all := slices.DeleteFunc(x.n.ExchangesHere(), func(e node.ExchangeCounts) bool { return x.vhosts != nil && !slices.Contains(x.vhosts, e.VHost) })
	slices.SortFunc(all, func(a, b node.ExchangeCounts) int {
		return cmp.Or(cmp.Compare(b.In, a.In), cmp.Compare(a.VHost+a.Name, b.VHost+b.Name))
	})
	tell := func(e node.ExchangeCounts, labels ...string) {
		x.counter(prefix+"exchange_messages_published_total", "Messages published to exchanges by clients of this node", e.In, labels...)
		x.counter(prefix+"exchange_messages_routed_total", "Queues that they went to", e.Out, labels...)
	}
	if !each {
		var sum node.ExchangeCounts
		for _, e := range all {
			sum.In += e.In
			sum.Out += e.Out
		}
		tell(sum)
		return
	}
	for _, e := range all[:min(len(all), objectsMax)] {
		tell(e, "vhost", e.VHost, "exchange", cmp.Or(e.Name, "amq.default"))
	}
}

// raft tells of the replicated logs, under the names that dashboards for RabbitMQ up to 4.1
// ask for, and those since.
func (x *collector) raft() {
	s := x.n.RaftSums(x.ctx)
	for _, g := range []struct {
		names [2]string
		help  string
		v     uint64
	}{
		{[2]string{"log_commit_index", "commit_index"}, "Entries of the replicated logs that are committed", s.Commit},
		{[2]string{"log_last_applied_index", "last_applied"}, "Entries of the replicated logs that are applied", s.Applied},
		{[2]string{"log_last_written_index", "last_written_index"}, "Entries of the replicated logs that are written", s.Last},
		{[2]string{"log_snapshot_index", "snapshot_index"}, "Entries of the replicated logs that are not kept any more, a snapshot has them", s.Trimmed},
	} {
		for _, name := range g.names {
			x.gauge("rabbitmq_raft_"+name, g.help+", summed over the placement groups that the node holds", float64(g.v))
		}
	}
	x.gauge("rabbitmq_raft_entries", "Entries that the node holds, in memory and on disk", float64(s.Last-min(s.Trimmed, s.Last)))
	x.gauge("rabbitmq_raft_wal_files", "Files of the write-ahead log", float64(x.uses().LogFiles))
	x.counter("rabbitmq_raft_term_total", "Terms of the placement groups that the node holds, which rise with each election", s.Term)
	h := x.n.Histograms()
	mean := 0.0
	if n := h.Replicate.Count(); n > 0 {
		mean = float64(h.Replicate.Sum) / float64(n) * microsecond
	}
	for _, name := range [...]string{"entry_commit_latency_seconds", "commit_latency_seconds"} {
		x.gauge("rabbitmq_raft_"+name, "From a proposal to its commit on a majority of the disks, mean since the node started; warren_replication_seconds has all", mean)
	}
}

// memory tells where the memory went.
func (x *collector) memory() {
	x.identity("memory-breakdown")
	m := x.uses()
	x.gauge("rabbitmq_memory_rss_bytes", "Resident set", float64(m.MemoryUsed))
	x.gauge("rabbitmq_memory_heap_bytes", "Objects", float64(m.HeapBytes))
	x.gauge("rabbitmq_memory_other_bytes", "All else", float64(m.MemoryUsed-min(m.HeapBytes, m.MemoryUsed)))
}

func itoa(n uint16) string { return strconv.Itoa(int(n)) }
