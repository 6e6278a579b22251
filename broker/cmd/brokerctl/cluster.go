package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

type clusterStatusCmd struct{}

type nodeStatus struct {
	Name        string
	Running     bool
	AMQP        string
	Management  string
	Peer        string
	Leader      bool `json:"metadata_leader"`
	Drained     bool `json:"being_drained"`
	MemoryAlarm bool `json:"mem_alarm"`
	DiskAlarm   bool `json:"disk_free_alarm"`
	Processors  int
	Groups      int `json:"placement_groups"`
	Led         int `json:"placement_groups_led"`
	Connections int
	Listeners   []string `json:"-"`
}

func (n *nodeStatus) state() string {
	switch {
	case !n.Running:
		return "down"
	case n.Drained:
		return "maintenance"
	}
	return "running"
}

type overviewStatus struct {
	Node           string
	ClusterID      string `json:"cluster_id"`
	ClusterName    string `json:"cluster_name"`
	ProductVersion string `json:"product_version"`
	Peer           string
}

// Run implements the command.
func (c *clusterStatusCmd) Run(s *session) error {
	var nodes []nodeStatus
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return err
	}
	var overview overviewStatus
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview", nil, &overview); err != nil {
		return err
	}
	if s.format == formatJSON {
		return s.json(clusterJSON(&overview, nodes))
	}
	s.heading("Cluster status of node %s ...", overview.Node)
	s.heading("Cluster name: %s", overview.ClusterName)
	s.heading("Cluster id: %s", overview.ClusterID)
	var list []map[string]any
	for _, n := range nodes {
		role, alarms := "follower", []any{}
		if n.Leader {
			role = "leader"
		}
		if n.MemoryAlarm {
			alarms = append(alarms, "memory")
		}
		if n.DiskAlarm {
			alarms = append(alarms, "disk")
		}
		list = append(list, map[string]any{
			"name": n.Name, "state": n.state(), "amqp": n.AMQP, "management": n.Management, "role": role, "cores": n.Processors, "alarms": alarms,
		})
	}
	return s.table(list, []string{"name", "state", "amqp", "management", "role", "cores", "alarms"}, nil)
}

// clusterJSON is the status with the keys of rabbitmqctl's.
func clusterJSON(o *overviewStatus, nodes []nodeStatus) map[string]any {
	disk, running, alarms := []string{}, []string{}, []map[string]string{}
	versions, cores, maintenance, listeners := map[string]any{}, map[string]int{}, map[string]string{}, map[string]any{}
	for _, n := range nodes {
		disk = append(disk, n.Name)
		maintenance[n.Name] = "not under maintenance"
		if n.Drained {
			maintenance[n.Name] = "under maintenance"
		}
		if !n.Running {
			continue
		}
		running = append(running, n.Name)
		versions[n.Name] = map[string]string{"warren_version": o.ProductVersion}
		cores[n.Name] = n.Processors
		listeners[n.Name] = []map[string]string{
			{"protocol": "amqp", "address": n.AMQP}, {"protocol": "http", "address": n.Management}, {"protocol": "clustering", "address": n.Peer},
		}
		for resource, on := range map[string]bool{"memory": n.MemoryAlarm, "disk": n.DiskAlarm} {
			if on {
				alarms = append(alarms, map[string]string{"node": n.Name, "resource": resource})
			}
		}
	}
	return map[string]any{
		"cluster_name": o.ClusterName, "cluster_id": o.ClusterID, "disk_nodes": disk, "ram_nodes": []string{}, "running_nodes": running, "versions": versions,
		"cpu_cores": cores, "maintenance_status": maintenance, "alarms": alarms, "partitions": map[string]any{}, "listeners": listeners, "feature_flags": []string{},
	}
}

type joinClusterCmd struct {
	Target string `arg:"" help:"Node of the cluster to join: a name from --nodes, or host:port of its management API."`
	Force  bool   `help:"Join even if the node holds durable queues, which are lost."`

	Timeout time.Duration `short:"t" help:"How long to wait until the node serves clients in its new cluster." default:"60s"`
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
	var overview struct {
		Node, Peer string
		ClusterID  string `json:"cluster_id"`
	}
	if _, err := s.client.callNode(s.ctx, target, http.MethodGet, "/api/overview", nil, &overview); err != nil {
		return err
	}
	self := s.client.nodes[0]
	if self.addr == target.addr {
		return fmt.Errorf("%w: node %s can't join itself", errUsage, self.name)
	}
	s.heading("Clustering node %s with %s", self.name, overview.Node)
	if err := s.client.call(s.ctx, http.MethodPost, "/api/cluster/join", map[string]any{"peer": overview.Peer, "force": c.Force}, nil); err != nil {
		return err
	}
	return s.poll(c.Timeout, "not a member", func() (bool, error) {
		var now struct {
			ClusterID string `json:"cluster_id"`
		}
		if err := s.client.call(s.ctx, http.MethodGet, "/api/overview", nil, &now); err != nil || now.ClusterID != overview.ClusterID {
			return false, err
		}
		err := s.client.call(s.ctx, http.MethodGet, readyCheck, nil, nil)
		return err == nil, err
	})
}

type forgetCmd struct {
	Node  string `arg:"" help:"Name of the node."`
	Force bool   `help:"Even if the node runs. It stops when its places are taken."`
}

// Run implements the command.
func (c *forgetCmd) Run(s *session) error {
	// Another one is asked: no node forgets itself.
	others := slices.DeleteFunc(slices.Clone(s.client.nodes), func(n node) bool { return n.name == c.Node })
	if len(others) == 0 {
		return fmt.Errorf("%w: node %s can't forget itself: name another node of the cluster with -n", errUsage, c.Node)
	}
	s.client.nodes = others
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
	if method == http.MethodPut {
		var nodes []nodeStatus
		if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
			return err
		}
		if !slices.ContainsFunc(nodes, func(n nodeStatus) bool { return n.Name != name && n.Running && !n.Drained }) {
			s.warn("no other node is there for its clients: nobody is served until one comes back, or is revived")
		}
	}
	if err := s.client.call(s.ctx, method, "/api/cluster/nodes/"+url.PathEscape(name)+"/maintenance", nil, nil); err != nil || method != http.MethodPut {
		return err
	}
	return s.awaitLeft(name)
}

// drainTimeout bounds how long drain waits for a node's leaderships to go.
const drainTimeout = 30 * time.Second

// awaitLeft waits until a node leads nothing that another node could lead.
func (s *session) awaitLeft(name string) error {
	bar, most := s.progress("leaderships moving off "+name), 0
	err := s.poll(drainTimeout, "node "+name+" still leads", func() (bool, error) {
		var nodes []nodeStatus
		if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
			return false, err
		}
		led, others := 0, 0
		for _, n := range nodes {
			if n.Name == name {
				led = n.Led
			} else if n.Running && !n.Drained {
				others++
			}
		}
		if others == 0 { // nobody else could
			return true, nil
		}
		most = max(most, led)
		bar.at(most-led, most)
		return led == 0, nil
	})
	return err
}

type growCmd struct {
	Node     string `arg:"" help:"Name of the node."`
	Strategy string `arg:"" optional:"" enum:"all,even" default:"all" help:"all or even: the same here, the node gets its share."`
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
		Members []map[string]any
	}
	path := fmt.Sprintf("/api/queues/quorum/%s/%s/status", url.PathEscape(s.vhost), url.PathEscape(c.Queue))
	if err := s.client.call(s.ctx, http.MethodGet, path, nil, &q); err != nil {
		return err
	}
	s.heading("Status of quorum queue %s in vhost %s ...", c.Queue, s.vhost)
	s.heading("Placement group %d, term %d, log ends at %d, committed up to %d, applied up to %d", q.Group, q.Term, q.Last, q.Commit, q.Applied)
	return s.table(q.Members, []string{"node", "role", "state", "synced", "behind", "percent"}, map[string]string{"synced": "synced_index", "behind": "entries_behind"})
}

type awaitStartupCmd struct {
	Timeout time.Duration `short:"t" help:"How long to wait." default:"60s"`
}

const (
	pollInterval = 200 * time.Millisecond
	readyCheck   = "/api/health/checks/ready-to-serve-clients"
)

// Run implements the command.
func (c *awaitStartupCmd) Run(s *session) error {
	return s.poll(c.Timeout, "not started", func() (bool, error) {
		err := s.client.call(s.ctx, http.MethodGet, readyCheck, nil, nil)
		return err == nil, err
	})
}

// poll calls f until it reports that it is done. An error of it counts when time is up.
func (s *session) poll(timeout time.Duration, what string, f func() (bool, error)) error {
	for end := time.Now().Add(timeout); ; {
		done, err := f()
		if done {
			return nil
		}
		if time.Now().After(end) {
			if err != nil {
				return fmt.Errorf("%s after %s: %w", what, timeout, err)
			}
			return fmt.Errorf("%s after %s", what, timeout)
		}
		select {
		case <-time.After(pollInterval):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

const syncTimeout = 10 * time.Minute
