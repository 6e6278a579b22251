package management

import (
	"cmp"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/meter"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) overviewRoutes() []route {
	return []route{
		{http.MethodGet, "/api/overview", anyUser, h.overview},
		{http.MethodGet, "/api/nodes", monitor, h.nodes},
		{http.MethodGet, "/api/nodes/{node}", monitor, h.node},
		{http.MethodGet, "/api/nodes/{node}/memory", monitor, h.nodeMemory},
		{http.MethodGet, "/api/cluster-name", anyUser, h.clusterName},
		{http.MethodPut, "/api/cluster-name", admin, h.setClusterName},
		{http.MethodDelete, "/api/reset", admin, h.reset},
		{http.MethodDelete, "/api/reset/{node}", admin, h.reset},
		{http.MethodGet, "/api/extensions", anyUser, h.extensions},
		{http.MethodGet, "/api/version", anyUser, h.version},
	}
}

// compatibleVersion is what tools that look for RabbitMQ are told: whose API this is.
const compatibleVersion = "4.3.0"

var exchangeTypes = []string{"direct", "fanout", "headers", "topic", "x-consistent-hash", "x-delayed-message", "x-local-random", "x-modulus-hash", "x-random"}

func (h *handler) nameOfCluster() (name string) {
	h.b.Node().View(func(s *metadata.State) { name = s.NameOfCluster() })
	return name
}

// sums are those of all nodes.
type sums struct {
	counts         node.Counts
	rates          node.Rates
	churn          [7]uint64
	churnRates     node.ChurnRates
	ready, unacked int
	readyRate      float64
	unackRate      float64
	consumers      int
	connections    int
	channels       int
	histories      [][]node.Sample
	histograms     node.Histograms
	missing        []string
}

func (h *handler) sums(t totals) (s sums) {
	s.missing = t.missing
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		n := t.nodes[name]
		s.counts.Plus(&n.Counts)
		s.rates.Plus(&n.Rates)
		c := n.Churn
		for i, v := range [...]uint64{
			c.ConnectionsOpened, c.ConnectionsClosed, c.ChannelsOpened, c.ChannelsClosed, c.QueuesDeclared, c.QueuesCreated, c.QueuesDeleted,
		} {
			s.churn[i] += v
			s.churnRates[i] += n.ChurnRates[i]
		}
		s.ready += n.Ready
		s.unacked += n.Unacked
		s.consumers += n.Consumers
		s.connections += n.Connections
		s.channels += n.Channels
		s.readyRate += n.ReadyRate
		s.unackRate += n.UnackRate
		s.histories = append(s.histories, n.Samples)
		s.histograms.Confirm.Merge(&n.Histograms.Confirm)
		s.histograms.Queued.Merge(&n.Histograms.Queued)
		s.histograms.Replicate.Merge(&n.Histograms.Replicate)
		s.histograms.Sync.Merge(&n.Histograms.Sync)
		s.histograms.Size.Merge(&n.Histograms.Size)
	}
	return s
}

// theirs counts only what the user may know of.
func (h *handler) theirs(w http.ResponseWriter, r *request, s *sums) {
	s.ready, s.unacked, s.consumers, s.connections, s.channels = 0, 0, 0, 0, 0
	for _, q := range h.seenQueues(w, r, false) {
		s.ready += q.Ready
		s.unacked += q.Unacked
		s.consumers += q.Consumers
	}
	for _, c := range h.seenConnections(w, r) {
		s.connections++
		s.channels += len(c.Channels)
	}
}

// merged adds up the samples of all nodes, at the times of the longest.
func merged(histories [][]node.Sample) []node.Sample {
	if len(histories) == 0 {
		return nil
	}
	longest := slices.MaxFunc(histories, func(a, b []node.Sample) int { return cmp.Compare(len(a), len(b)) })
	sum := make([]node.Sample, len(longest))
	for i, x := range longest {
		sum[i] = node.Sample{At: x.At}
	}
	for _, one := range histories {
		j := 0
		for i := range sum {
			for j+1 < len(one) && one[j+1].At <= sum[i].At {
				j++
			}
			if len(one) == 0 || one[0].At > sum[i].At+int64(2*time.Second/time.Millisecond) {
				continue
			}
			sum[i].Ready += one[j].Ready
			sum[i].Unacked += one[j].Unacked
			sum[i].Counts.Plus(&one[j].Counts)
		}
	}
	return sum
}

// churnKeys name the counters of churn in their order.
var churnKeys = [...]string{
	"connection_created", "connection_closed", "channel_created", "channel_closed", "queue_declared", "queue_created", "queue_deleted",
}

func (h *handler) overview(w http.ResponseWriter, r *request) error {
	sp, err := parseSpans(r.URL.Query())
	if err != nil {
		return err
	}
	return h.one(w, r, h.overviewJSON(w, r, sp))
}

func (h *handler) overviewJSON(w http.ResponseWriter, r *request, sp spans) map[string]any {
	n := h.b.Node()
	s := h.sums(h.allTotals(r.Context()))
	var history []node.Sample
	if sp.any() {
		history = merged(s.histories)
	}
	partial(w, s.missing)
	if !r.user.HasTag(monitor.tags...) {
		h.theirs(w, r, &s)
	}
	queues, exchanges := 0, 0
	h.eachVHostState(r, func(_ *metadata.State, v *metadata.VHost) {
		exchanges += len(v.Exchanges)
		for _, q := range v.Queues {
			queues += btoi(!q.Internal)
		}
	})
	objects := map[string]any{"queues": queues, "exchanges": exchanges, "connections": s.connections, "channels": s.channels, "consumers": s.consumers}
	lens := map[string]any{}
	lengths(lens, s.ready, s.unacked, s.readyRate, s.unackRate, history, sp.lengths)
	churn := map[string]any{}
	for i, key := range churnKeys {
		rated(churn, key, s.churn[i], s.churnRates[i])
	}
	stats := messageStats(&s.counts, &s.rates, history, sp.rates, channelStats...)
	if stats == nil {
		stats = map[string]any{}
	}
	for _, key := range [...]string{"disk_reads", "disk_writes"} {
		rated(stats, key, 0, 0)
	}
	types := []map[string]any{}
	for _, t := range exchangeTypes {
		types = append(types, map[string]any{"name": t, "description": "AMQP " + t + " exchange", "enabled": true})
	}
	listeners, contexts := h.listeners()
	m := map[string]any{
		"management_version": compatibleVersion, "rates_mode": "basic", "exchange_types": types, "product_name": "Warren", "product_version": Version,
		"rabbitmq_version": compatibleVersion, "cluster_name": h.nameOfCluster(), "cluster_id": n.ClusterID(), "erlang_version": runtime.Version(),
		"erlang_full_version": runtime.Version(), "release_series_support_status": "supported", "node": n.Name(), "peer": n.PeerAddr(),
		"sample_retention_policies": map[string]any{"global": []int{120}, "basic": []int{120}, "detailed": []int{120}},
		"statistics_db_event_queue": 0, "disable_stats": false, "is_op_policy_updating_enabled": true, "enable_queue_totals": false,
		"message_stats": stats, "churn_rates": churn, "queue_totals": lens, "object_totals": objects, "listeners": listeners, "contexts": contexts,
		"default_queue_type": "classic", "cluster_tags": []any{}, "node_tags": []any{},
		"latencies": map[string]any{
			"confirm": latency(s.histograms.Confirm.Quantile), "time_in_queue": latency(s.histograms.Queued.Quantile),
			"replication": latency(s.histograms.Replicate.Quantile), "sync": latency(s.histograms.Sync.Quantile),
		},
		"message_sizes": sizes(&s.histograms.Size),
	}
	if len(s.missing) > 0 {
		m["nodes_missing"] = s.missing
	}
	return m
}

// latency returns quantiles in milliseconds, of times in microseconds since the nodes
// started.
func latency(quantile func(float64) uint64) map[string]float64 {
	ms := func(p float64) float64 { return float64(quantile(p)) / 1000 }
	return map[string]float64{"p50_ms": ms(0.5), "p95_ms": ms(0.95), "p99_ms": ms(0.99)}
}

// sizes tells how many of the messages published since the nodes started had bodies of how
// many bytes; sizes that none had are left out.
func sizes(s *meter.Snapshot) []map[string]any {
	list, all := []map[string]any{}, s.Count()
	for i, n := range s.N {
		if n > 0 {
			list = append(list, map[string]any{"size_below": uint64(1) << i, "count": n, "percent": round(100 * float64(n) / float64(all))})
		}
	}
	return list
}

// listeners returns where the nodes listen, as far as the cluster knows.
func (h *handler) listeners() (listeners, contexts []map[string]any) {
	listeners, contexts = []map[string]any{}, []map[string]any{}
	for _, n := range h.b.Node().Nodes() {
		for _, l := range [...][2]string{{"amqp", n.AMQP}, {"clustering", n.Peer}, {"http", n.Management}} {
			host, port := hostPort(l[1])
			listeners = append(listeners, map[string]any{"node": n.Name, "protocol": l[0], "ip_address": host, "port": port, "socket_opts": map[string]any{}})
		}
		_, port := hostPort(n.Management)
		contexts = append(contexts, map[string]any{"node": n.Name, "description": "Warren management", "path": "/", "port": port, "cowboy_opts": "[]"})
	}
	return listeners, contexts
}

func (h *handler) nodes(w http.ResponseWriter, r *request) error {
	return h.list(w, r, ready(h.nodeList(w, r)))
}

func (h *handler) nodeList(w http.ResponseWriter, r *request) []map[string]any {
	of := h.allMachines(r.Context())
	partial(w, of.missing)
	list := []map[string]any{}
	for _, n := range h.b.Node().Nodes() {
		m, known := of.nodes[n.Name]
		list = append(list, nodeJSON(&n, &m, known && n.Running))
	}
	return list
}

func nodeJSON(n *node.NodeStatus, m *node.MachineStatus, known bool) map[string]any {
	v := map[string]any{
		"name": n.Name, "type": "disc", "running": n.Running, "metadata_leader": n.Leader, "being_drained": n.Drained,
		"amqp": n.AMQP, "management": n.Management, "peer": n.Peer, "partitions": []any{}, "cluster_links": []any{},
		"applications": []any{}, "auth_mechanisms": []map[string]any{
			{"name": "PLAIN", "description": "SASL PLAIN authentication mechanism", "enabled": true},
			{"name": "AMQPLAIN", "description": "AMQPLAIN mechanism", "enabled": true},
			{"name": "EXTERNAL", "description": "TLS peer verification", "enabled": true},
		},
		"exchange_types": []any{}, "enabled_plugins": []string{"rabbitmq_management", "rabbitmq_prometheus", "rabbitmq_event_exchange"},
		"rates_mode": "basic", "contexts": []any{}, "log_files": []string{"stderr"}, "config_files": []any{},
	}
	if !known {
		return v
	}
	uptime := time.Since(m.Started)
	v["os_pid"], v["uptime"], v["processors"], v["run_queue"] = itoa(m.PID), uptime.Milliseconds(), m.Processors, 0
	v["mem_used"], v["mem_limit"], v["mem_alarm"], v["mem_calculation_strategy"] = m.MemoryUsed, m.MemoryLimit, m.Alarm&node.MemoryAlarm != 0, "rss"
	v["disk_free"], v["disk_free_limit"], v["disk_free_alarm"] = m.DiskFree, m.DiskLimit, m.Alarm&node.DiskAlarm != 0
	v["fd_used"], v["fd_total"], v["sockets_used"], v["sockets_total"] = m.FilesOpen, m.FilesMax, m.Connections, m.FilesMax
	v["proc_used"], v["proc_total"] = m.Goroutines, 0
	v["db_dir"], v["net_ticktime"], v["metrics_gc_queue_length"] = m.DataDir, 0, map[string]any{}
	v["placement_groups"], v["placement_groups_led"], v["connections"], v["channels"] = m.Groups, m.Led, m.Connections, m.Channels
	v["log_bytes"], v["run_bytes"], v["snapshot_bytes"], v["disk_stalled_ms"] = m.LogBytes, m.RunBytes, m.SnapshotBytes, m.DiskStalled.Milliseconds()
	for _, key := range [...]string{"mem_used", "disk_free", "fd_used", "sockets_used", "proc_used"} {
		v[key+"_details"] = map[string]any{"rate": 0.0}
	}
	return v
}

func (h *handler) findNode(w http.ResponseWriter, r *request) (map[string]any, error) {
	for _, n := range h.nodeList(w, r) {
		if n["name"] == param(r, "node") {
			return n, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no node '%s' in the cluster", param(r, "node"))
}

func (h *handler) node(w http.ResponseWriter, r *request) error {
	n, err := h.findNode(w, r)
	if err != nil {
		return err
	}
	return h.one(w, r, n)
}

// nodeMemory tells where a node's memory went: what its objects take, and the rest.
func (h *handler) nodeMemory(w http.ResponseWriter, r *request) error {
	if _, err := h.findNode(w, r); err != nil {
		return err
	}
	m, known := h.allMachines(r.Context()).nodes[param(r, "node")]
	if !known {
		write(w, http.StatusOK, map[string]any{"memory": "not_available"})
		return nil
	}
	return h.one(w, r, map[string]any{"memory": map[string]any{
		"total": map[string]any{"rss": m.MemoryUsed, "allocated": m.HeapBytes, "erlang": m.HeapBytes}, "strategy": "rss",
		"heap": m.HeapBytes, "other_system": m.MemoryUsed - min(m.HeapBytes, m.MemoryUsed),
	}})
}

func (h *handler) clusterName(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, map[string]string{"name": h.nameOfCluster()})
	return nil
}

func (h *handler) setClusterName(w http.ResponseWriter, r *request) error {
	var body struct {
		Name *string `json:"name"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if err := keysMissing("name", body.Name); err != nil {
		return err
	}
	return h.apply(w, r, metadata.Command{GlobalSet: &metadata.GlobalSet{Name: metadata.ClusterName, Value: mustJSON(*body.Name)}})
}

// reset drops what answers are made of, as every change does anyway.
func (h *handler) reset(w http.ResponseWriter, r *request) error {
	r.changesNothing = true
	h.view.forget()
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handler) extensions(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, []map[string]any{{"javascript": "dispatcher.js"}})
	return nil
}

func (h *handler) version(w http.ResponseWriter, _ *request) error {
	write(w, http.StatusOK, map[string]string{"product_name": "Warren", "product_version": Version, "rabbitmq_version": compatibleVersion})
	return nil
}
