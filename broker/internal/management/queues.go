package management

import (
	"net/http"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) queueRoutes() []route {
	one := "/api/queues/{vhost}/{name}"
	return []route{
		{http.MethodGet, "/api/queues", anyUser, h.queues},
		{http.MethodGet, "/api/queues/detailed", anyUser, h.queues},
		{http.MethodGet, "/api/queues/{vhost}", anyUser, h.queues},
		{http.MethodGet, one, anyUser, h.queue},
		{http.MethodPut, one, anyUser, h.declareQueue},
		{http.MethodDelete, one, anyUser, h.deleteQueue},
		{http.MethodDelete, one + "/contents", anyUser, h.purgeQueue},
		{http.MethodGet, one + "/bindings", anyUser, h.queueBindings},
		{http.MethodPost, one + "/get", anyUser, h.getMessages},
		{http.MethodPost, one + "/move", anyUser, h.moveMessages},
		{http.MethodPost, one + "/actions", admin, h.queueAction},
	}
}

// seenQueues returns the queues of the virtual hosts that the user sees.
func (h *handler) seenQueues(w http.ResponseWriter, r *request, history bool) []*node.QueueStatus {
	v, all := param(r, "vhost"), h.allQueues(w, r, history)
	list := make([]*node.QueueStatus, 0, len(all))
	for i := range all {
		if q := &all[i]; v == q.VHost || v == "" && sees(r.user, q.VHost) {
			list = append(list, q)
		}
	}
	return list
}

// queueKey returns what queues are mostly sorted by.
func queueKey(q *node.QueueStatus, path string) (any, bool) {
	switch path {
	case "name":
		return q.Name, true
	case "vhost":
		return q.VHost, true
	case "leader", "node":
		return q.Leader, true
	case "messages":
		return q.Ready + q.Unacked, true
	case "messages_ready":
		return q.Ready, true
	case "messages_unacknowledged":
		return q.Unacked, true
	case "message_bytes":
		return q.Bytes, true
	case "consumers":
		return q.Consumers, true
	case "message_stats.publish_details.rate":
		return q.Rates[node.StatPublish], true
	case "message_stats.ack_details.rate":
		return q.Rates[node.StatAck], true
	case "message_stats.deliver_get_details.rate":
		sum := 0.0
		for _, i := range deliverGet {
			sum += q.Rates[i]
		}
		return sum, true
	}
	return nil, false
}

func (h *handler) queues(w http.ResponseWriter, r *request) error {
	s, err := parseSpans(r.URL.Query())
	if err != nil {
		return err
	}
	all := h.seenQueues(w, r, s.any())
	entry := func(i int, m map[string]any) map[string]any { return queueJSON(m, all[i], s) }
	if q := r.URL.Query(); q.Get("disable_stats") == "true" {
		totals := q.Get("enable_queue_totals") == "true"
		entry = func(i int, m map[string]any) map[string]any {
			queueBrief(m, all[i])
			if totals {
				m["messages"], m["messages_ready"], m["messages_unacknowledged"] = all[i].Ready+all[i].Unacked, all[i].Ready, all[i].Unacked
			}
			return m
		}
	}
	return h.list(w, r, rows{
		n: len(all), name: func(i int) string { return all[i].Name }, entry: entry,
		key: func(i int, path string) (any, bool) { return queueKey(all[i], path) },
	})
}

func (h *handler) findQueue(w http.ResponseWriter, r *request, history bool) (*node.QueueStatus, error) {
	vhost, name := param(r, "vhost"), param(r, "name")
	all := h.allQueues(w, r, history)
	for i := range all {
		if q := &all[i]; q.VHost == vhost && q.Name == name {
			return q, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no queue '%s' in vhost '%s'", name, vhost)
}

func (h *handler) queue(w http.ResponseWriter, r *request) error {
	s, err := parseSpans(r.URL.Query())
	if err != nil {
		return err
	}
	q, err := h.findQueue(w, r, s.any())
	if err != nil {
		return err
	}
	m := queueJSON(map[string]any{}, q, s)
	consumers := []map[string]any{}
	for _, c := range h.consumerList(w, r, []*node.QueueStatus{q}) {
		consumers = append(consumers, c)
	}
	m["consumer_details"] = consumers
	m["incoming"], m["deliveries"] = []any{}, []any{}
	if q.Exclusive {
		for _, c := range h.allConnections(w, r) {
			if c.Owner == q.Owner {
				host, port := hostPort(c.Peer)
				m["owner_pid_details"] = map[string]any{"name": c.Name, "peer_host": host, "peer_port": port}
			}
		}
	}
	return h.one(w, r, m)
}

// queueBrief puts a queue without statistics into m.
func queueBrief(m map[string]any, q *node.QueueStatus) {
	m["name"], m["vhost"], m["type"], m["durable"], m["auto_delete"], m["exclusive"] = q.Name, q.VHost, q.Type, q.Durable, q.AutoDelete, q.Exclusive
	m["arguments"], m["node"], m["state"] = tableJSON(q.Args.Table), q.Leader, q.State
}

// What most entries have, and nobody changes.
var (
	nothing    = map[string]any{}
	notRemoved = map[string]any{"rejected": 0, "expired": 0, "maxlen": 0, "delivery_limit": 0}
)

// queueJSON puts a queue into m, which is empty, and returns it.
func queueJSON(m map[string]any, q *node.QueueStatus, s spans) map[string]any {
	notLeader := func(list []string) []string {
		out := make([]string, 0, len(list))
		for _, name := range list {
			if name != q.Leader {
				out = append(out, name)
			}
		}
		return out
	}
	queueBrief(m, q)
	if q.State != "down" {
		history := q.Samples
		if s.any() && len(history) == 0 { // it is new: nobody has looked at it yet
			history = []node.Sample{{At: time.Now().UnixMilli(), Ready: q.Ready, Unacked: q.Unacked, Counts: q.Counts}}
		}
		lengths(m, q.Ready, q.Unacked, q.ReadyRate, q.UnackRate, history, s.lengths)
		m["message_bytes"], m["message_bytes_ready"], m["message_bytes_unacknowledged"] = q.Bytes, q.ReadyBytes, max(q.Bytes-q.ReadyBytes, 0)
		m["message_bytes_persistent"], m["messages_persistent"] = 0, 0
		if q.Durable {
			m["message_bytes_persistent"], m["messages_persistent"] = q.Bytes, q.Ready+q.Unacked
		}
		m["consumers"], m["consumer_utilisation"], m["consumer_capacity"] = q.Consumers, capacity(q), capacity(q)
		m["messages_ram"], m["message_bytes_ram"], m["messages_ready_ram"], m["messages_unacknowledged_ram"] = 0, 0, 0, 0
		m["memory"] = 0
		if st := messageStats(&q.Counts, &q.Rates, history, s.rates, queueStats...); st != nil {
			m["message_stats"] = st
		}
		m["removed"] = notRemoved
		if q.Dead != ([len(q.Dead)]uint64{}) {
			m["removed"] = map[string]any{"rejected": q.Dead[0], "expired": q.Dead[1], "maxlen": q.Dead[2], "delivery_limit": q.Dead[3]}
		}
	}
	m["leader"], m["members"], m["online"] = q.Leader, q.Members, notNil(q.Online)
	others := notLeader(q.Members)
	m["slave_nodes"], m["synchronised_slave_nodes"], m["recoverable_slaves"] = others, notLeader(q.Online), others
	m["policy"], m["operator_policy"], m["effective_policy_definition"] = nil, nil, nothing
	m["exclusive_consumer_tag"], m["single_active_consumer_tag"], m["owner_pid_details"] = nil, nil, nil
	m["storage_version"], m["head_message_timestamp"] = 2, nil
	if q.Policy != "" {
		m["policy"] = q.Policy
	}
	if q.OperatorPolicy != "" {
		m["operator_policy"] = q.OperatorPolicy
	}
	if q.Definition != nil {
		m["effective_policy_definition"] = q.Definition
	}
	if q.Stale {
		m["stats_stale"] = true // its leader did not answer in time: the numbers are its last known ones
	}
	if q.Group != 0 {
		m["placement_group"] = q.Group
	}
	return m
}

// capacity is the share of its consumers that would take a message at once.
func capacity(q *node.QueueStatus) float64 {
	if q.Consumers == 0 {
		return 0
	}
	return round(float64(q.Hungry) / float64(q.Consumers))
}

// act carries out something for the user in the virtual host that the path names.
func (h *handler) act(r *request, f func(*node.Actor) error) error {
	a := h.b.Node().Act(param(r, "vhost"), r.user.Name)
	defer a.Close()
	return f(a)
}

func (h *handler) declareQueue(w http.ResponseWriter, r *request) error {
	var body struct {
		Durable    *flag     `json:"durable"`
		AutoDelete flag      `json:"auto_delete"`
		Exclusive  flag      `json:"exclusive"`
		Arguments  arguments `json:"arguments"`
	}
	if err := readOptional(r, &body); err != nil {
		return err
	}
	spec := node.QueueSpec{
		Name: param(r, "name"), Durable: body.Durable == nil || bool(*body.Durable), AutoDelete: bool(body.AutoDelete), Args: message.Table(body.Arguments),
	}
	if body.Exclusive {
		return fault.New(fault.PreconditionFailed, "an exclusive queue belongs to a connection, and this request has none")
	}
	existed := h.hasQueue(param(r, "vhost"), spec.Name)
	err := h.act(r, func(a *node.Actor) error {
		_, err := a.QueueDeclare(r.Context(), spec, false)
		return err
	})
	if err != nil {
		return err
	}
	changed(w, existed)
	return nil
}

func (h *handler) hasQueue(vhost, name string) (has bool) {
	h.b.Node().View(func(s *metadata.State) {
		_, missing := s.Queue(vhost, name)
		has = missing == nil
	})
	return has
}

// queueThere refuses a path that names no queue.
func (h *handler) queueThere(r *request) error {
	if vhost, name := param(r, "vhost"), param(r, "name"); !h.hasQueue(vhost, name) {
		return fault.New(fault.NotFound, "no queue '%s' in vhost '%s'", name, vhost)
	}
	return nil
}

func (h *handler) deleteQueue(w http.ResponseWriter, r *request) error {
	if err := h.queueThere(r); err != nil {
		return err
	}
	q := r.URL.Query()
	return h.done(w, h.act(r, func(a *node.Actor) error {
		_, err := a.QueueDelete(r.Context(), param(r, "name"), q.Get("if-unused") == "true", q.Get("if-empty") == "true")
		return err
	}))
}

func (h *handler) purgeQueue(w http.ResponseWriter, r *request) error {
	if err := h.queueThere(r); err != nil {
		return err
	}
	return h.done(w, h.act(r, func(a *node.Actor) error {
		_, err := a.QueuePurge(r.Context(), param(r, "name"))
		return err
	}))
}

// done answers what succeeded and has nothing to tell.
func (h *handler) done(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// queueAction does what RabbitMQ's does: members of a replicated queue catch up by
// themselves, so there is nothing to begin or to stop.
func (h *handler) queueAction(w http.ResponseWriter, r *request) error {
	if err := h.queueThere(r); err != nil {
		return err
	}
	var body struct {
		Action string `json:"action"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	switch body.Action {
	case "sync", "cancel_sync":
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return fault.New(fault.PreconditionFailed, "action %q is unknown; there are sync and cancel_sync", body.Action)
}
