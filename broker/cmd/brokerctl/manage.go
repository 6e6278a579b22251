package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

type setParameterCmd struct {
	Component string `arg:"" help:"Component; there is vhost-limits."`
	Name      string `arg:"" help:"Name."`
	Value     string `arg:"" help:"JSON."`
}

func jsonArg(text string) (json.RawMessage, error) {
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%w: %q is not JSON; a text needs quotes of its own: '\"%s\"'", errUsage, text, text)
	}
	return json.RawMessage(text), nil
}

// Run implements the command.
func (c *setParameterCmd) Run(s *session) error {
	v, err := jsonArg(c.Value)
	if err != nil {
		return err
	}
	s.heading("Setting runtime parameter \"%s\" for component \"%s\" to \"%s\" in vhost \"%s\" ...", c.Name, c.Component, c.Value, s.vhost)
	return s.client.call(s.ctx, http.MethodPut, s.inVHost("parameters/"+url.PathEscape(c.Component))+"/"+url.PathEscape(c.Name), map[string]any{"value": v}, nil)
}

type clearParameterCmd struct {
	Component string `arg:"" help:"Component."`
	Name      string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *clearParameterCmd) Run(s *session) error {
	s.heading("Clearing runtime parameter \"%s\" for component \"%s\" on vhost \"%s\" ...", c.Name, c.Component, s.vhost)
	return s.client.call(s.ctx, http.MethodDelete, s.inVHost("parameters/"+url.PathEscape(c.Component))+"/"+url.PathEscape(c.Name), nil, nil)
}

type setGlobalParameterCmd struct {
	Name  string `arg:"" help:"Name."`
	Value string `arg:"" help:"JSON."`
}

// Run implements the command.
func (c *setGlobalParameterCmd) Run(s *session) error {
	v, err := jsonArg(c.Value)
	if err != nil {
		return err
	}
	s.heading("Setting global runtime parameter \"%s\" to \"%s\" ...", c.Name, c.Value)
	return s.client.call(s.ctx, http.MethodPut, "/api/global-parameters/"+url.PathEscape(c.Name), map[string]any{"value": v}, nil)
}

type clearGlobalParameterCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *clearGlobalParameterCmd) Run(s *session) error {
	s.heading("Clearing global runtime parameter \"%s\" ...", c.Name)
	return s.client.call(s.ctx, http.MethodDelete, "/api/global-parameters/"+url.PathEscape(c.Name), nil, nil)
}

type setClusterNameCmd struct {
	Name string `arg:"" help:"Name."`
}

// Run implements the command.
func (c *setClusterNameCmd) Run(s *session) error {
	s.heading("Setting cluster name to %s ...", c.Name)
	return s.client.call(s.ctx, http.MethodPut, "/api/cluster-name", map[string]string{"name": c.Name}, nil)
}

type queueArg struct {
	Queue string `arg:"" help:"Name of the queue."`
}

func (c queueArg) path(s *session) string { return s.inVHost("queues") + "/" + url.PathEscape(c.Queue) }

type deleteQueueCmd struct {
	queueArg
	IfEmpty  bool `name:"if-empty" short:"e" help:"Only if no message is ready."`
	IfUnused bool `name:"if-unused" short:"u" help:"Only if nobody consumes."`
}

// Run implements the command.
func (c *deleteQueueCmd) Run(s *session) error {
	s.heading("Deleting queue '%s' on vhost '%s' ...", c.Queue, s.vhost)
	return s.client.call(s.ctx, http.MethodDelete, fmt.Sprintf("%s?if-empty=%t&if-unused=%t", c.path(s), c.IfEmpty, c.IfUnused), nil, nil)
}

type purgeQueueCmd struct{ queueArg }

// Run implements the command.
func (c *purgeQueueCmd) Run(s *session) error {
	s.heading("Purging queue '%s' in vhost '%s' ...", c.Queue, s.vhost)
	return s.client.call(s.ctx, http.MethodDelete, c.path(s)+"/contents", nil, nil)
}

type syncQueueCmd struct{ queueArg }

// Run implements the command: members catch up by themselves, and this waits for it.
func (c *syncQueueCmd) Run(s *session) error {
	s.heading("Synchronising queue '%s' in vhost '%s' ...", c.Queue, s.vhost)
	if err := s.client.call(s.ctx, http.MethodPost, c.path(s)+"/actions", map[string]string{"action": "sync"}, nil); err != nil {
		return err
	}
	bar := s.progress("synchronising " + c.Queue)
	return s.poll(syncTimeout, "members still behind", func() (bool, error) {
		var q struct{ Members []struct{ Percent int } }
		path := "/api/queues/quorum/" + url.PathEscape(s.vhost) + "/" + url.PathEscape(c.Queue) + "/status"
		if err := s.client.call(s.ctx, http.MethodGet, path, nil, &q); err != nil {
			return false, err
		}
		least := 100
		for _, m := range q.Members {
			least = min(least, m.Percent)
		}
		bar.at(least, 100)
		return least == 100, nil
	})
}

type cancelSyncQueueCmd struct{ queueArg }

// Run implements the command.
func (c *cancelSyncQueueCmd) Run(s *session) error {
	s.heading("Stopping synchronising queue '%s' in vhost '%s' ...", c.Queue, s.vhost)
	return s.client.call(s.ctx, http.MethodPost, c.path(s)+"/actions", map[string]string{"action": "cancel_sync"}, nil)
}

type peekCmd struct {
	queueArg
	Position int `arg:"" optional:"" default:"1" help:"Position from the head of the queue."`
}

// Run implements the command. Nothing is fetched: the message is only looked at.
func (c *peekCmd) Run(s *session) error {
	if c.Position < 1 {
		return fmt.Errorf("%w: peek: position is %d, the first message has 1", errUsage, c.Position)
	}
	var list []map[string]any
	body := map[string]any{"count": 1, "offset": c.Position - 1, "ackmode": "peek", "encoding": "auto"}
	if err := s.client.call(s.ctx, http.MethodPost, c.path(s)+"/get", body, &list); err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("queue '%s' in vhost '%s' has no message ready at position %d", c.Queue, s.vhost, c.Position)
	}
	s.heading("Peeking at quorum queue '%s' at position %d ...", c.Queue, c.Position)
	return s.facts([]string{"exchange", "routing_key", "redelivered", "properties", "payload_bytes", "payload_encoding", "payload"}, list[0])
}

type traceOnCmd struct{}

// Run implements the command.
func (c *traceOnCmd) Run(s *session) error { return s.trace(true, "Starting") }

type traceOffCmd struct{}

// Run implements the command.
func (c *traceOffCmd) Run(s *session) error { return s.trace(false, "Stopping") }

func (s *session) trace(on bool, verb string) error {
	s.heading("%s tracing for vhost \"%s\" ...", verb, s.vhost)
	return s.client.call(s.ctx, http.MethodPut, s.inVHost("vhosts"), map[string]bool{"tracing": on}, nil)
}

type closeAllConnectionsCmd struct {
	Global bool   `help:"In all virtual hosts."`
	Reason string `arg:"" help:"What the clients are told."`
}

// Run implements the command.
func (c *closeAllConnectionsCmd) Run(s *session) error {
	path := "/api/vhosts/" + url.PathEscape(s.vhost) + "/connections"
	if c.Global {
		path = "/api/connections"
	}
	return s.closeAll(path, c.Reason)
}

type closeUserConnectionsCmd struct {
	User   string `arg:"" help:"User."`
	Reason string `arg:"" help:"What the clients are told."`
}

// Run implements the command.
func (c *closeUserConnectionsCmd) Run(s *session) error {
	return s.closeAll("/api/connections/username/"+url.PathEscape(c.User), c.Reason)
}

func (s *session) closeAll(path, reason string) error {
	var list []struct{ Name string }
	if err := s.client.call(s.ctx, http.MethodGet, path+"?columns=name", nil, &list); err != nil {
		return err
	}
	s.client.reason = reason
	bar := s.progress("closing connections")
	for i, c := range list {
		err := s.client.call(s.ctx, http.MethodDelete, "/api/connections/"+url.PathEscape(c.Name), nil, nil)
		if err != nil && !strings.HasPrefix(err.Error(), "no connection") { // it went by itself
			return err
		}
		bar.at(i+1, len(list))
	}
	s.heading("Closed %d connections", len(list))
	return nil
}

type setMemoryCmd struct {
	Kind  string `arg:"" help:"absolute, or a share of the memory such as 0.6."`
	Value string `arg:"" optional:"" help:"After absolute: bytes, such as 512MiB."`
}

// Run implements the command.
func (c *setMemoryCmd) Run(s *session) error {
	body := map[string]any{}
	if c.Kind == "absolute" {
		n, err := sizeArg(c.Value)
		if err != nil {
			return err
		}
		body["memory"] = n
	} else {
		share, err := strconv.ParseFloat(c.Kind, 64)
		if err != nil || share <= 0 || share > 1 {
			return fmt.Errorf("%w: set_vm_memory_high_watermark: %q is neither a share from 0 to 1 nor absolute; such as: set_vm_memory_high_watermark absolute 512MiB", errUsage, c.Kind)
		}
		body["memory_share"] = share
	}
	return s.limits(body, "Setting memory threshold")
}

type setDiskCmd struct {
	Limit string `arg:"" help:"Bytes that must be free, such as 1GiB."`
}

// Run implements the command.
func (c *setDiskCmd) Run(s *session) error {
	n, err := sizeArg(c.Limit)
	if err != nil {
		return err
	}
	return s.limits(map[string]any{"disk_free": n}, "Setting disk free limit")
}

func (s *session) limits(body map[string]any, what string) error {
	if len(s.client.nodes) != 1 {
		return fmt.Errorf("%w: say with -n which node's limit it is", errUsage)
	}
	s.heading("%s on %s ...", what, s.client.nodes[0].name)
	return s.client.call(s.ctx, http.MethodPut, "/api/cluster/limits", body, nil)
}

// sizeUnits are what may follow a number of bytes.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

func sizeArg(text string) (uint64, error) {
	unit, digits := uint64(1), text
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			unit, digits = u.bytes, rest
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 40)
	if err != nil {
		return 0, fmt.Errorf("%w: %q is no size such as 512MiB", errUsage, text)
	}
	return n * unit, nil
}

type stopCmd struct{}

// Run implements the command.
func (c *stopCmd) Run(s *session) error {
	if len(s.client.nodes) != 1 {
		return fmt.Errorf("%w: say with -n which node is to stop", errUsage)
	}
	s.heading("Stopping and halting node %s ...", s.client.nodes[0].name)
	return s.client.call(s.ctx, http.MethodPost, "/api/cluster/stop", nil, nil)
}

type resetCmd struct{}

// Run implements the command, which there is not.
func (c *resetCmd) Run(*session) error {
	return fmt.Errorf("%w: a running node is not reset: join_cluster NODE gives up its data and moves it to another cluster, forget_cluster_node NODE removes it from this one", errUsage)
}
