package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// replicaPath is the API's path of a replicated queue.
func (s *session) replicaPath(queue string) string {
	return "/api/queues/quorum/" + url.PathEscape(s.vhost) + "/" + url.PathEscape(queue)
}

type memberArgs struct {
	Queue string `arg:"" help:"Name of the queue."`
	Node  string `arg:"" help:"Name of the node."`
}

type addMemberCmd struct{ memberArgs }

// Run implements the command.
func (c *addMemberCmd) Run(s *session) error {
	s.heading("Adding a replica for queue %s in vhost %s on node %s ...", c.Queue, s.vhost, c.Node)
	return s.client.call(s.ctx, http.MethodPost, s.replicaPath(c.Queue)+"/replicas/add", map[string]string{"node": c.Node}, nil)
}

type deleteMemberCmd struct{ memberArgs }

// Run implements the command.
func (c *deleteMemberCmd) Run(s *session) error {
	s.heading("Removing a replica of queue %s in vhost %s on node %s ...", c.Queue, s.vhost, c.Node)
	return s.client.call(s.ctx, http.MethodDelete, s.replicaPath(c.Queue)+"/replicas/delete", map[string]string{"node": c.Node}, nil)
}

type transferLeadershipCmd struct{ memberArgs }

// transferTimeout bounds how long a hand-over may take.
const transferTimeout = 10 * time.Second

// Run implements the command: it waits until the other one leads.
func (c *transferLeadershipCmd) Run(s *session) error {
	s.heading("Transferring leadership of queue %s in vhost %s to node %s ...", c.Queue, s.vhost, c.Node)
	var refused error
	err := s.poll(transferTimeout, "node "+c.Node+" does not lead", func() (bool, error) {
		var q struct{ Leader string }
		if err := s.client.call(s.ctx, http.MethodGet, s.replicaPath(c.Queue)+"/status", nil, &q); err != nil {
			return false, err
		}
		if q.Leader == c.Node {
			return true, nil
		}
		err := s.client.call(s.ctx, http.MethodPost, s.replicaPath(c.Queue)+"/leader", map[string]string{"node": c.Node}, nil)
		if err != nil && !retriable(err) {
			refused = err
			return true, nil
		}
		return false, err
	})
	return errors.Join(refused, err)
}

type growToCountCmd struct {
	Count        int    `arg:"" help:"How many members each queue shall have."`
	Strategy     string `arg:"" optional:"" enum:"all,even" default:"all" help:"all, or even: those with an even number of members."`
	VHostPattern string `name:"vhost-pattern" help:"Only virtual hosts whose name matches."`
	QueuePattern string `name:"queue-pattern" help:"Only queues whose name matches."`
}

// replicated is a replicated queue.
type replicated struct {
	Name, VHost string
	Group       uint64 `json:"placement_group"`
	Members     []string
}

// Run implements the command: members are added on the nodes that have the fewest. Queues
// of one placement group have the same members, so it is done once for each.
func (c *growToCountCmd) Run(s *session) error {
	queues, err := regexp.Compile(c.QueuePattern)
	if err != nil {
		return fmt.Errorf("%w: --queue-pattern: %w", errUsage, err)
	}
	vhosts, err := regexp.Compile(c.VHostPattern)
	if err != nil {
		return fmt.Errorf("%w: --vhost-pattern: %w", errUsage, err)
	}
	var all []replicated
	if err := s.client.call(s.ctx, http.MethodGet, "/api/queues?columns=name,vhost,placement_group,members", nil, &all); err != nil {
		return err
	}
	var nodes []nodeStatus
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return err
	}
	if c.Count < 1 || c.Count > len(nodes) {
		return fmt.Errorf("%w: grow_to_count: count is %d, the cluster has %d nodes", errUsage, c.Count, len(nodes))
	}
	held, groups := map[string]int{}, map[uint64]*replicated{}
	for i, q := range all {
		if q.Group == 0 || groups[q.Group] != nil || !queues.MatchString(q.Name) || !vhosts.MatchString(q.VHost) {
			continue
		}
		groups[q.Group] = &all[i]
		for _, m := range q.Members {
			held[m]++
		}
	}
	s.heading("Growing replicated queues to %d members ...", c.Count)
	var grown []map[string]any
	bar, done := s.progress("adding members"), 0
	for _, q := range groups {
		was := len(q.Members)
		for len(q.Members) < c.Count && (c.Strategy == "all" || was%2 == 0) {
			node := fewest(nodes, q.Members, held)
			path := "/api/queues/quorum/" + url.PathEscape(q.VHost) + "/" + url.PathEscape(q.Name) + "/replicas/add"
			if err := s.client.call(s.ctx, http.MethodPost, path, map[string]string{"node": node}, nil); err != nil {
				return err
			}
			q.Members = append(q.Members, node)
			held[node]++
		}
		if len(q.Members) > was {
			grown = append(grown, map[string]any{"vhost": q.VHost, "name": q.Name, "placement_group": q.Group, "size": len(q.Members)})
		}
		done++
		bar.at(done, len(groups))
	}
	slices.SortFunc(grown, func(a, b map[string]any) int { return cmp.Compare(cell(a["name"]), cell(b["name"])) })
	return s.table(grown, []string{"vhost", "name", "placement_group", "size"}, nil)
}

// fewest returns the node that is no member and holds the fewest.
func fewest(nodes []nodeStatus, members []string, held map[string]int) string {
	best := ""
	for _, n := range nodes {
		if !slices.Contains(members, n.Name) && (best == "" || held[n.Name] < held[best]) {
			best = n.Name
		}
	}
	return best
}
