package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

type clusterStatusCmd struct{}

type nodeStatus struct {
	Name       string
	Running    bool
	AMQP       string
	Management string
	Peer       string
	Leader     bool `json:"metadata_leader"`
	Drained    bool `json:"being_drained"`
}

// Run implements the command.
func (c *clusterStatusCmd) Run(s *session) error {
	var nodes []nodeStatus
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return err
	}
	var overview struct {
		Node      string
		ClusterID string `json:"cluster_id"`
	}
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview", nil, &overview); err != nil {
		return err
	}
	s.heading("Cluster status of node %s ...", overview.Node)
	s.heading("Cluster id: %s", overview.ClusterID)
	s.heading("name\tstate\tamqp\tmanagement\trole")
	for _, n := range nodes {
		state, role := "down", "follower"
		if n.Running {
			state = "running"
		}
		if n.Running && n.Drained {
			state = "maintenance"
		}
		if n.Leader {
			role = "leader"
		}
		fmt.Fprintf(s.out, "%s\t%s\t%s\t%s\t%s\n", n.Name, state, n.AMQP, n.Management, role)
	}
	return nil
}

type joinClusterCmd struct {
	Target string `arg:"" help:"Node of the cluster to join: a name from --nodes, or host:port of its management API."`
	Force  bool   `help:"Join even if the node holds durable queues, which are lost."`
}

// Run implements the command. The target tells its peer address, the node does the rest.
func (c *joinClusterCmd) Run(s *session) error {
	if len(s.client.nodes) != 1 {
		return fmt.Errorf("%w: join_cluster needs -n: the node that shall join", errUsage)
	}
	target := node{c.Target, c.Target}
	if addr := s.client.byName[c.Target]; addr != "" {
		target.addr = addr
	} else if !strings.Contains(c.Target, ":") {
		return fmt.Errorf("%w: unknown node %q; --nodes adds it, or give host:port of its management API", errUsage, c.Target)
	}
	var overview struct{ Node, Peer string }
	if _, err := s.client.callNode(s.ctx, target, http.MethodGet, "/api/overview", nil, &overview); err != nil {
		return err
	}
	self := s.client.nodes[0]
	if self.addr == target.addr {
		return fmt.Errorf("%w: node %s can't join itself", errUsage, self.name)
	}
	s.heading("Clustering node %s with %s", self.name, overview.Node)
	return s.client.call(s.ctx, http.MethodPost, "/api/cluster/join", map[string]any{"peer": overview.Peer, "force": c.Force}, nil)
}

type forgetCmd struct {
	Node  string `arg:"" help:"Name of the node."`
	Force bool   `help:"Even if the node runs. It stops when its places are taken."`
}

// Run implements the command.
func (c *forgetCmd) Run(s *session) error {
	s.heading("Removing node %s from the cluster", c.Node)
	return s.client.call(s.ctx, http.MethodDelete, fmt.Sprintf("/api/cluster/nodes/%s?force=%t", url.PathEscape(c.Node), c.Force), nil, nil)
}

type drainCmd struct {
	Node string `arg:"" optional:"" help:"Name of the node."`
}

// Run implements the command.
func (c *drainCmd) Run(s *session) error {
	return maintain(s, c.Node, http.MethodPut, "Will put node %s into maintenance mode")
}

type reviveCmd struct {
	Node string `arg:"" optional:"" help:"Name of the node."`
}

// Run implements the command.
func (c *reviveCmd) Run(s *session) error {
	return maintain(s, c.Node, http.MethodDelete, "Will revive node %s from maintenance mode")
}

func maintain(s *session, name, method, heading string) error {
	if name == "" {
		if len(s.client.nodes) != 1 {
			return fmt.Errorf("%w: name the node, or ask it itself with -n", errUsage)
		}
		var overview struct{ Node string }
		if err := s.client.call(s.ctx, http.MethodGet, "/api/overview", nil, &overview); err != nil {
			return err
		}
		name = overview.Node
	}
	s.heading(heading, name)
	return s.client.call(s.ctx, method, "/api/cluster/nodes/"+url.PathEscape(name)+"/maintenance", nil, nil)
}

type growCmd struct {
	Node string `arg:"" help:"Name of the node."`
}

// Run implements the command.
func (c *growCmd) Run(s *session) error {
	s.heading("Growing replicated queues on node %s ...", c.Node)
	return s.client.call(s.ctx, http.MethodPut, "/api/cluster/nodes/"+url.PathEscape(c.Node)+"/groups", nil, nil)
}

type shrinkCmd struct {
	Node string `arg:"" help:"Name of the node."`
}

// Run implements the command.
func (c *shrinkCmd) Run(s *session) error {
	s.heading("Shrinking replicated queues on node %s ...", c.Node)
	return s.client.call(s.ctx, http.MethodDelete, "/api/cluster/nodes/"+url.PathEscape(c.Node)+"/groups", nil, nil)
}

type rebalanceCmd struct {
	// Queues of all types share their placement groups, so it makes no difference.
	Type string `arg:"" optional:"" enum:"all,classic,quorum" default:"all" help:"all, classic or quorum: the same here."`
}

// Run implements the command.
func (c *rebalanceCmd) Run(s *session) error {
	s.heading("Rebalancing %s queues ...", c.Type)
	return s.client.call(s.ctx, http.MethodPost, "/api/rebalance/queues", nil, nil)
}

type quorumStatusCmd struct {
	Queue string `arg:"" help:"Name of the queue."`
}

// Run implements the command.
func (c *quorumStatusCmd) Run(s *session) error {
	var q struct {
		Group   uint64 `json:"placement_group"`
		Commit  uint64 `json:"commit_index"`
		Applied uint64 `json:"last_applied"`
		Last    uint64 `json:"last_index"`
		Term    uint64
		Members []struct {
			Node, Role, State string
			Synced            uint64 `json:"synced_index"`
			Behind            uint64 `json:"entries_behind"`
			Percent           int
		}
	}
	path := fmt.Sprintf("/api/queues/quorum/%s/%s/status", url.PathEscape(s.vhost), url.PathEscape(c.Queue))
	if err := s.client.call(s.ctx, http.MethodGet, path, nil, &q); err != nil {
		return err
	}
	s.heading("Status of quorum queue %s in vhost %s ...", c.Queue, s.vhost)
	s.heading("Placement group %d, term %d, log ends at %d, committed up to %d, applied up to %d", q.Group, q.Term, q.Last, q.Commit, q.Applied)
	s.heading("node\trole\tstate\tsynced\tbehind\tpercent")
	for _, m := range q.Members {
		fmt.Fprintf(s.out, "%s\t%s\t%s\t%d\t%d\t%d\n", m.Node, m.Role, m.State, m.Synced, m.Behind, m.Percent)
	}
	return nil
}

type awaitStartupCmd struct {
	Timeout time.Duration `short:"t" help:"How long to wait." default:"60s"`
}

const pollInterval = 200 * time.Millisecond

// Run implements the command.
func (c *awaitStartupCmd) Run(s *session) error {
	for end := time.Now().Add(c.Timeout); ; {
		err := s.client.call(s.ctx, http.MethodGet, "/api/health/checks/ready-to-serve-clients", nil, nil)
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not started after %s: %w", c.Timeout, err)
		}
		select {
		case <-time.After(pollInterval):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}
