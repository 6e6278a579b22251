package management

import (
	"net/http"
	"slices"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) overview(w http.ResponseWriter, _ *request) error {
	n := h.b.Node()
	write(w, http.StatusOK, map[string]any{
		"product_name": "Warren", "cluster_name": "warren", "cluster_id": n.ClusterID(), "node": n.Name(), "peer": n.PeerAddr(),
	})
	return nil
}

func (h *handler) nodes(w http.ResponseWriter, _ *request) error {
	nodes := h.b.Node().Nodes()
	list := make([]map[string]any, 0, len(nodes))
	for _, m := range nodes {
		list = append(list, map[string]any{
			"name": m.Name, "type": "disc", "running": m.Running, "metadata_leader": m.Leader,
			"being_drained": m.Drained,
			"amqp":          m.AMQP, "management": m.Management, "peer": m.Peer,
		})
	}
	write(w, http.StatusOK, list)
	return nil
}

func (h *handler) queues(w http.ResponseWriter, r *request) error {
	list := []map[string]any{}
	for _, q := range h.b.Node().Queues(r.Context()) {
		if v := param(r, "vhost"); v == q.VHost || v == "" && sees(r.user, q.VHost) {
			list = append(list, queueJSON(&q))
		}
	}
	write(w, http.StatusOK, list)
	return nil
}

func (h *handler) queue(w http.ResponseWriter, r *request) error {
	vhost, name := param(r, "vhost"), param(r, "name")
	for _, q := range h.b.Node().Queues(r.Context()) {
		if q.VHost == vhost && q.Name == name {
			write(w, http.StatusOK, queueJSON(&q))
			return nil
		}
	}
	return fault.New(fault.NotFound, "no queue '%s' in vhost '%s'", name, vhost)
}

func queueJSON(q *node.QueueStatus) map[string]any {
	slaves := slices.DeleteFunc(slices.Clone(q.Members), func(m string) bool { return m == q.Leader })
	synced := slices.DeleteFunc(slices.Clone(q.Online), func(m string) bool { return m == q.Leader })
	v := map[string]any{
		"name": q.Name, "vhost": q.VHost, "type": q.Type, "durable": q.Durable, "auto_delete": q.AutoDelete,
		"exclusive": q.Exclusive, "arguments": tableJSON(q.Args.Table), "node": q.Leader, "leader": q.Leader,
		"members": q.Members, "online": q.Online, "slave_nodes": slaves, "synchronised_slave_nodes": synced,
		"messages": q.Ready + q.Unacked, "messages_ready": q.Ready, "messages_unacknowledged": q.Unacked,
		"message_bytes": q.Bytes, "consumers": q.Consumers, "state": q.State,
	}
	if q.Policy != "" {
		v["policy"] = q.Policy
	}
	if q.OperatorPolicy != "" {
		v["operator_policy"] = q.OperatorPolicy
	}
	if q.Definition != nil {
		v["effective_policy_definition"] = q.Definition
	}
	return v
}

func tableJSON(t message.Table) map[string]any {
	m := map[string]any{}
	for _, f := range t {
		m[f.Key] = valueJSON(f.Value)
	}
	return m
}

func valueJSON(v any) any {
	switch x := v.(type) {
	case message.Table:
		return tableJSON(x)
	case []any:
		list := make([]any, len(x))
		for i := range x {
			list[i] = valueJSON(x[i])
		}
		return list
	case []byte:
		return string(x)
	}
	return v
}

// join moves the node to another cluster.
func (h *handler) join(w http.ResponseWriter, r *request) error {
	var body struct {
		Peer  string `json:"peer"`
		Force bool   `json:"force"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Peer == "" {
		return fault.New(fault.PreconditionFailed, "key peer is missing: the peer address of a member of the cluster to join")
	}
	if err := h.b.JoinCluster(body.Peer, body.Force); err != nil {
		return fault.New(fault.PreconditionFailed, "%v", err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
