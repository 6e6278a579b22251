package management

import (
	"net/http"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// replicaRoutes are those for the members of replicated queues.
func (h *handler) replicaRoutes() []route {
	one, on := "/api/queues/quorum/{vhost}/{name}", "/api/queues/quorum/replicas/on/{node}"
	return []route{
		{http.MethodGet, one + "/status", monitor, h.quorumStatus},
		{http.MethodPost, one + "/replicas/add", admin, h.changeReplica},
		{http.MethodDelete, one + "/replicas/delete", admin, h.changeReplica},
		{http.MethodPost, one + "/leader", admin, h.transferLeadership},
		{http.MethodPost, on + "/grow", admin, h.grow},
		{http.MethodDelete, on + "/shrink", admin, h.grow},
		{http.MethodPost, "/api/rebalance/queues", admin, h.rebalance},
	}
}

// quorumStatus tells how a replicated queue stands with its members.
func (h *handler) quorumStatus(w http.ResponseWriter, r *request) error {
	s, err := h.b.Node().Quorum(r.Context(), param(r, "vhost"), param(r, "name"))
	if err != nil {
		return err
	}
	members := make([]map[string]any, 0, len(s.Members))
	for _, m := range s.Members {
		members = append(members, map[string]any{
			"node": m.Node, "role": m.Role, "state": m.State, "synced_index": m.Synced, "entries_behind": m.Behind, "percent": m.Percent,
		})
	}
	write(w, http.StatusOK, map[string]any{
		"placement_group": s.Group, "leader": s.Leader, "term": s.Term, "last_index": s.Last, "commit_index": s.Commit,
		"last_applied": s.Applied, "members": members,
	})
	return nil
}

// nodeOf reads which node a request is about.
func nodeOf(r *request) (string, error) {
	var body struct {
		Node string `json:"node"`
	}
	if err := read(r, &body); err != nil {
		return "", err
	}
	if body.Node == "" {
		return "", fault.New(fault.PreconditionFailed, "key node is missing: the name of a node of the cluster")
	}
	return body.Node, nil
}

// changeReplica adds a member to a replicated queue (POST), or takes one out (DELETE).
func (h *handler) changeReplica(w http.ResponseWriter, r *request) error {
	name, err := nodeOf(r)
	if err != nil {
		return err
	}
	if err := h.b.Node().ChangeMember(r.Context(), param(r, "vhost"), param(r, "name"), name, r.Method == http.MethodDelete); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted) // it catches up first
	return nil
}

// transferLeadership hands the leadership of a replicated queue to another member.
func (h *handler) transferLeadership(w http.ResponseWriter, r *request) error {
	name, err := nodeOf(r)
	if err != nil {
		return err
	}
	if err := h.b.Node().TransferLeadership(r.Context(), param(r, "vhost"), param(r, "name"), name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// rebalance spreads the leaderships of replicated queues at once.
func (h *handler) rebalance(w http.ResponseWriter, r *request) error {
	h.b.Node().Rebalance(r.Context())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// grow gives a node its share of the replicated queues, or takes all away (DELETE).
func (h *handler) grow(w http.ResponseWriter, r *request) error {
	change := h.b.Node().Grow
	if r.Method == http.MethodDelete {
		change = h.b.Node().Shrink
	}
	if err := change(r.Context(), param(r, "node")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
