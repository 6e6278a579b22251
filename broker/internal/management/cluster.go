package management

import (
	"net/http"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// forget removes a node from the cluster; ?force=true also one that runs.
func (h *handler) forget(w http.ResponseWriter, r *request) error {
	if err := h.b.Node().Forget(r.Context(), param(r, "node"), r.URL.Query().Get("force") == "true"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
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

// drain puts a node into maintenance (PUT), or ends that (DELETE).
func (h *handler) drain(w http.ResponseWriter, r *request) error {
	if err := h.b.Node().Drain(r.Context(), param(r, "node"), r.Method == http.MethodPut); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// rebalance spreads the leaderships of replicated queues at once.
func (h *handler) rebalance(w http.ResponseWriter, r *request) error {
	h.b.Node().Rebalance(r.Context())
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// grow gives a node its share of the replicated queues (PUT), or takes all away (DELETE).
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
