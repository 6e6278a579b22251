package management

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/warren-mq/warren/broker/internal/auth"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/node"
)

// Report tells how an import went.
type Report struct {
	Imported int       `json:"imported"`
	Refused  []Refusal `json:"refused"`
}

// Refusal is an entry that was not taken.
type Refusal struct {
	Path   string `json:"path"` // such as queues[3] (orders in vhost /)
	Reason string `json:"reason"`
}

// importWorkers is how many entries are on their way at once: each waits for the disks.
const importWorkers = 32

// importRefusedMax bounds how many refusals are told.
const importRefusedMax = 100

// Import adds definitions to what is there; nothing is deleted. Entries that can't be
// taken are told by their path, and the others go on. The error is for definitions that
// can't be read at all. With a virtual host, what concerns all of them is left out, and
// all else goes there.
func Import(ctx context.Context, n *node.Node, raw []byte, vhost string) (Report, error) {
	var d Definitions
	if err := json.Unmarshal(raw, &d); err != nil {
		return Report{}, fault.New(fault.PreconditionFailed, "definitions are not JSON of their form: %v", err)
	}
	i := &importer{ctx: ctx, n: n, vhost: vhost}
	if vhost == "" {
		i.each("global_parameters", d.GlobalParameters, i.global)
		i.each("vhosts", d.VHosts, i.addVHost)
		i.each("users", d.Users, i.user)
		i.each("permissions", d.Permissions, i.permission)
		i.each("topic_permissions", d.TopicPermissions, i.topicPermission)
	}
	i.each("parameters", d.Parameters, i.parameter)
	i.each("policies", d.Policies, func(e *entry) error { return i.policy(e, e.policyEntry, false) })
	i.each("exchanges", d.Exchanges, i.exchange)
	i.each("queues", d.Queues, i.queue)
	i.each("bindings", d.Bindings, i.binding)
	return i.report, ctx.Err()
}

type importer struct {
	ctx    context.Context //nolint:containedctx // lives as long as one import
	n      *node.Node
	vhost  string
	mu     sync.Mutex
	report Report
}

type policyEntry struct {
	Pattern    string         `json:"pattern"`
	ApplyTo    string         `json:"apply-to"`
	Priority   int            `json:"priority"`
	Definition map[string]any `json:"definition"`
}

// entry is one of the definitions, whatever its kind.
type entry struct {
	Name             string          `json:"name"`
	VHost            string          `json:"vhost"`
	User             string          `json:"user"`
	Exchange         string          `json:"exchange"`
	Component        string          `json:"component"`
	Value            json.RawMessage `json:"value"`
	PasswordHash     string          `json:"password_hash"`
	Password         string          `json:"password"`
	Hashing          auth.Algorithm  `json:"hashing_algorithm"`
	Tags             *stringList     `json:"tags"`
	Limits           json.RawMessage `json:"limits"`
	Description      string          `json:"description"`
	DefaultQueueType string          `json:"default_queue_type"`
	Metadata         struct {
		Description      string      `json:"description"`
		Tags             *stringList `json:"tags"`
		DefaultQueueType string      `json:"default_queue_type"`
	} `json:"metadata"`
	Configure       string    `json:"configure"`
	Write           string    `json:"write"`
	Read            string    `json:"read"`
	Type            string    `json:"type"`
	Durable         flag      `json:"durable"`
	AutoDelete      flag      `json:"auto_delete"`
	Internal        flag      `json:"internal"`
	Arguments       arguments `json:"arguments"`
	Source          string    `json:"source"`
	Destination     string    `json:"destination"`
	DestinationType string    `json:"destination_type"`
	Key             string    `json:"routing_key"`
	policyEntry
}

// each imports a list, several entries at once.
func (i *importer) each(kind string, list []json.RawMessage, take func(*entry) error) {
	work := make(chan int)
	var workers sync.WaitGroup
	refused := map[int]Refusal{}
	for range min(importWorkers, len(list)) {
		workers.Go(func() {
			for at := range work {
				var e entry
				err := json.Unmarshal(list[at], &e)
				if i.vhost != "" {
					e.VHost = i.vhost
				}
				if err == nil {
					err = take(&e)
				}
				i.mu.Lock()
				if err == nil {
					i.report.Imported++
				} else {
					refused[at] = Refusal{fmt.Sprintf("%s[%d]%s", kind, at, e.called()), err.Error()}
				}
				i.mu.Unlock()
			}
		})
	}
	for at := range list {
		if i.ctx.Err() != nil {
			break
		}
		work <- at
	}
	close(work)
	workers.Wait()
	for _, at := range slices.Sorted(maps.Keys(refused)) {
		if len(i.report.Refused) < importRefusedMax {
			i.report.Refused = append(i.report.Refused, refused[at])
		}
	}
}

// called names an entry for people.
func (e *entry) called() string {
	name := e.Name
	switch {
	case e.Source != "" || e.Destination != "":
		name = e.Source + " to " + e.Destination
	case name == "" && e.User != "":
		name = e.User
	}
	if e.VHost != "" {
		name += " in vhost " + e.VHost
	}
	return " (" + name + ")"
}

func (i *importer) change(c metadata.Command) error { return i.n.Change(i.ctx, c) }

func (i *importer) global(e *entry) error {
	if e.Name == "internal_cluster_id" || e.Name == "imported_definition_hash_value" {
		return nil // a cluster's own, not its operators'
	}
	return i.change(metadata.Command{GlobalSet: &metadata.GlobalSet{Name: e.Name, Value: e.Value}})
}

func (i *importer) addVHost(e *entry) error {
	c := &metadata.VHostPut{Name: e.Name}
	text := func(to **string, candidates ...string) {
		for _, t := range candidates {
			if t != "" && t != "undefined" {
				*to = &t
				return
			}
		}
	}
	text(&c.Description, e.Description, e.Metadata.Description)
	text(&c.DefaultQueueType, e.DefaultQueueType, e.Metadata.DefaultQueueType)
	if c.Tags = (*[]string)(e.Tags); c.Tags == nil {
		c.Tags = (*[]string)(e.Metadata.Tags)
	}
	return i.change(metadata.Command{VHostPut: c})
}

func limitsOf(raw json.RawMessage) (metadata.Limits, error) {
	if len(raw) == 0 || string(raw) == "[]" || string(raw) == "null" {
		return nil, nil //nolint:nilnil // there are none
	}
	var l metadata.Limits
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, fault.New(fault.PreconditionFailed, "limits are no object of whole numbers: %v", err)
	}
	return l, nil
}

func (i *importer) user(e *entry) error {
	u := &metadata.User{Name: e.Name, Hashing: string(e.Hashing), PasswordHash: e.PasswordHash}
	if e.Tags != nil {
		u.Tags = *e.Tags
	}
	if u.Hashing == "" {
		u.Hashing = string(auth.SHA256)
	}
	var err error
	if e.Password != "" {
		if u.PasswordHash, err = auth.Hash(auth.SHA256, e.Password); err != nil {
			return err
		}
		u.Hashing = string(auth.SHA256)
	}
	if err := auth.CheckHash(auth.Algorithm(u.Hashing), u.PasswordHash); err != nil {
		return err
	}
	limits, err := limitsOf(e.Limits)
	if err != nil {
		return err
	}
	if err := i.change(metadata.Command{UserPut: u}); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if err := i.change(metadata.Command{LimitSet: &metadata.LimitSet{User: u.Name, Name: name, Value: limits[name]}}); err != nil {
			return err
		}
	}
	return nil
}

func (i *importer) permission(e *entry) error {
	return i.change(metadata.Command{PermissionSet: &metadata.PermissionSet{
		User: e.User, VHost: e.VHost, Permission: metadata.Permission{Configure: e.Configure, Write: e.Write, Read: e.Read},
	}})
}

func (i *importer) topicPermission(e *entry) error {
	return i.change(metadata.Command{TopicPermissionSet: &metadata.TopicPermissionSet{
		User: e.User, VHost: e.VHost, Exchange: e.Exchange, Permission: metadata.TopicPermission{Write: e.Write, Read: e.Read},
	}})
}

func (i *importer) parameter(e *entry) error {
	switch e.Component {
	case vhostLimitsComponent:
		limits, err := limitsOf(e.Value)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			if err := i.change(metadata.Command{LimitSet: &metadata.LimitSet{VHost: e.VHost, Name: name, Value: limits[name]}}); err != nil {
				return err
			}
		}
		return nil
	case operatorComponent:
		var p policyEntry
		if err := json.Unmarshal(e.Value, &p); err != nil {
			return fault.New(fault.PreconditionFailed, "value is no policy: %v", err)
		}
		return i.policy(e, p, true)
	}
	return noComponent(e.Component)
}

func (i *importer) policy(e *entry, p policyEntry, operator bool) error {
	if p.ApplyTo == "" {
		p.ApplyTo = "all"
	}
	return i.n.SetPolicy(i.ctx, metadata.Policy{
		VHost: e.VHost, Name: e.Name, Pattern: p.Pattern, ApplyTo: p.ApplyTo, Priority: p.Priority, Definition: p.Definition, Operator: operator,
	})
}

func (i *importer) exchange(e *entry) error {
	return i.n.PutExchange(i.ctx, e.VHost, node.ExchangeSpec{
		Name: e.Name, Type: e.Type, Durable: bool(e.Durable), AutoDelete: bool(e.AutoDelete), Internal: bool(e.Internal), Args: message.Table(e.Arguments),
	})
}

func (i *importer) queue(e *entry) error {
	args := message.Table(e.Arguments)
	if _, typed := args.Get("x-queue-type"); !typed && e.Type == string(metadata.Quorum) {
		args = args.Set("x-queue-type", e.Type)
	}
	return i.n.PutQueue(i.ctx, e.VHost, node.QueueSpec{Name: e.Name, Durable: bool(e.Durable), AutoDelete: bool(e.AutoDelete), Args: args})
}

func (i *importer) binding(e *entry) error {
	return i.n.PutBinding(i.ctx, e.VHost, node.BindingSpec{
		Source: e.Source, Destination: e.Destination, ToExchange: e.DestinationType == "exchange", Key: e.Key, Args: message.Table(e.Arguments),
	})
}
