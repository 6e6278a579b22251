package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

type consumeEventsCmd struct {
	Duration time.Duration `short:"d" help:"How long; 0: until it is interrupted." default:"0s"`
	Pattern  string        `help:"Only events whose name matches."`
}

// Limits of a stream of events: eventBytesMax of one batch; a stream that the node ends is
// taken up again after streamPause.
const (
	eventBytesMax = 16 << 20
	streamPause   = time.Second
)

// Run implements the command: one line of JSON for each event.
func (c *consumeEventsCmd) Run(s *session) error {
	wanted, err := regexp.Compile(c.Pattern)
	if err != nil {
		return fmt.Errorf("%w: --pattern: %w", errUsage, err)
	}
	ctx, cancel := s.ctx, func() {}
	if c.Duration > 0 {
		ctx, cancel = context.WithTimeout(s.ctx, c.Duration)
	}
	defer cancel()
	for {
		ended, err := s.client.follow(ctx, func(list []map[string]any) error {
			for _, e := range list {
				if !wanted.MatchString(cell(e["key"])) {
					continue
				}
				b, err := json.Marshal(map[string]any{"event": e["key"], "node": e["node"], "timestamp_in_ms": e["timestamp"], "details": e["details"]})
				if err == nil {
					_, err = fmt.Fprintln(s.out, string(b))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil // it is over
		}
		if !ended {
			return err
		}
		select {
		case <-time.After(streamPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow reads the node's events until the stream ends; ended says that it began.
func (c *client) follow(ctx context.Context, take func([]map[string]any) error) (ended bool, err error) {
	for _, n := range c.nodes {
		req, rerr := http.NewRequestWithContext(ctx, http.MethodGet, c.scheme+n.addr+"/api/events/stream", nil)
		if rerr != nil {
			return false, rerr
		}
		req.SetBasicAuth(c.user, c.password)
		stream := http.Client{Transport: c.http.Transport} // without a limit of time: it goes on
		resp, rerr := stream.Do(req)
		if rerr != nil {
			err = fmt.Errorf("unable to connect to node '%s': %w", n.name, rerr)
			continue
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return false, errors.New(resp.Status)
		}
		return true, readEvents(resp.Body, take)
	}
	return false, err
}

// readEvents takes the events out of a stream of server-sent events.
func readEvents(r io.Reader, take func([]map[string]any) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, eventBytesMax)
	name := ""
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = v
		}
		v, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || name != "events" {
			continue
		}
		var list []map[string]any
		if err := json.Unmarshal([]byte(v), &list); err != nil {
			return err
		}
		if err := take(list); err != nil {
			return err
		}
	}
	return lines.Err()
}

type setLogLevelCmd struct {
	Words []string `arg:"" help:"debug, info, notice, warning, error, critical or none; before it, as in rabbitmqctl, a category: there is one log here."`
}

// Run implements the command.
func (c *setLogLevelCmd) Run(s *session) error {
	if len(c.Words) > 2 {
		return fmt.Errorf("%w: set_log_level [CATEGORY] LEVEL", errUsage)
	}
	level := c.Words[len(c.Words)-1]
	s.heading("Setting log level to \"%s\" ...", level)
	return s.client.call(s.ctx, http.MethodPut, "/api/cluster/log-level", map[string]string{"level": level}, nil)
}

type enableFeatureCmd struct {
	Name string `arg:"" help:"Name of the flag, or all."`
}

// Run implements the command.
func (c *enableFeatureCmd) Run(s *session) error {
	if c.Name == "all" {
		s.heading("Enabling all feature flags ...")
		return nil // they are on
	}
	s.heading("Enabling feature flag \"%s\" ...", c.Name)
	return s.client.call(s.ctx, http.MethodPut, "/api/feature-flags/"+c.Name+"/enable", nil, nil)
}

type messageSizesCmd struct{}

// Run implements the command: the sizes of the bodies that the node was given.
func (c *messageSizesCmd) Run(s *session) error {
	var o struct {
		Node  string
		Sizes []map[string]any `json:"message_sizes"`
	}
	if err := s.client.call(s.ctx, http.MethodGet, "/api/overview?columns=node,message_sizes", nil, &o); err != nil {
		return err
	}
	s.heading("Gathering message size statistics of the cluster, asking %s ...", o.Node)
	return s.table(o.Sizes, []string{"size_below", "count", "percent"}, nil)
}

type maybeStuckCmd struct{}

// Run implements the command: what does not answer, or waits for a disk.
func (c *maybeStuckCmd) Run(s *session) error {
	var nodes, queues []map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return err
	}
	if err := s.client.call(s.ctx, http.MethodGet, "/api/queues?columns=name,vhost,leader,state,stats_stale", nil, &queues); err != nil {
		return err
	}
	var found []map[string]any
	for _, n := range nodes {
		if ms, _ := n["disk_stalled_ms"].(float64); ms > 0 {
			found = append(found, map[string]any{"what": "disk", "name": n["name"], "node": n["name"], "why": fmt.Sprintf("a write has been waiting for %.0f ms", ms)})
		}
		if n["running"] != true {
			found = append(found, map[string]any{"what": "node", "name": n["name"], "node": n["name"], "why": "it does not answer"})
		}
	}
	for _, q := range queues {
		switch {
		case q["stats_stale"] == true:
			found = append(found, map[string]any{"what": "queue", "name": q["name"], "node": q["leader"], "why": "its leader did not answer in time"})
		case q["state"] == "down":
			found = append(found, map[string]any{"what": "queue", "name": q["name"], "node": q["leader"], "why": "it has no leader"})
		}
	}
	if len(found) == 0 {
		s.heading("There are no nodes, disks or queues that seem to be stuck")
		if s.format != formatJSON && s.format != formatCSV {
			return nil
		}
	}
	return s.table(found, []string{"what", "name", "node", "why"}, nil)
}

// noneSuch are verbs of rabbitmqctl that have nothing to do here, and what to do instead.
var noneSuch = map[string]string{
	"force_boot":           "a node starts without waiting for another: when a majority of the members is there, queues are served; what only lost nodes had goes with forget_cluster_node NODE",
	"rename_cluster_node":  "a node keeps its name, which its data directory and its places in the queues belong to: start one with the new name and --join, then forget_cluster_node OLD_NAME",
	"rotate_logs":          "a node writes its log to standard error, and keeps no file of it: who collects it rotates it",
	"update_cluster_nodes": "a node that was away finds the members by itself; if all addresses have changed, start it with --peers",
}

type noneSuchCmd struct {
	Rest []string `arg:"" optional:"" help:"Ignored."`
}

// Run implements the command, which main answers: it knows the name.
func (c *noneSuchCmd) Run(*session) error { return errUsage }
