package management

import (
	"net/http"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// setLimits changes the limits behind this node's alarms.
func (h *handler) setLimits(w http.ResponseWriter, r *request) error {
	var body struct {
		Memory *uint64  `json:"memory"`
		Share  *float64 `json:"memory_share"`
		Disk   *uint64  `json:"disk_free"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	m := h.b.Node().Machine()
	memory, disk := m.MemoryLimit, m.DiskLimit
	switch {
	case body.Memory != nil && body.Share == nil:
		memory = *body.Memory
	case body.Share != nil && body.Memory == nil && *body.Share > 0 && *body.Share <= 1:
		total, err := h.b.Node().MemoryTotal()
		if err != nil {
			return fault.New(fault.PreconditionFailed, "how much memory there is %v: say it in bytes", err)
		}
		memory = uint64(*body.Share * float64(total))
	case body.Disk == nil || body.Share != nil:
		return fault.New(fault.PreconditionFailed, "say memory (bytes) or memory_share (above 0, up to 1), or disk_free (bytes)")
	}
	if body.Disk != nil {
		disk = *body.Disk
	}
	h.b.SetLimits(memory, disk)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// stop stops this node in order.
func (h *handler) stop(w http.ResponseWriter, _ *request) error {
	w.WriteHeader(http.StatusAccepted)
	h.b.Stop()
	return nil
}

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
