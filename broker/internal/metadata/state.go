// Package metadata is the topology's state machine: nodes, placement groups, virtual
// hosts, exchanges, queues, bindings, users, permissions and policies, the same on
// every node. It is deterministic: time and randomness come with the commands.
package metadata

import (
	"encoding/json"
	"fmt"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/pattern"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// State is the topology. Reading it is safe in many goroutines as long as no Apply
// runs beside; its owner sees to that.
type State struct {
	ClusterID string
	Nodes     map[string]*Node
	Groups    map[uint64]*Group
	VHosts    map[string]*VHost
	Users     map[string]*User
	// MetaVoters are the replicas that hold the topology, as its leader last said.
	MetaVoters []uint64
	// Drained are the nodes in maintenance: they serve no clients, and lead what nobody else
	// can lead only.
	Drained map[string]bool `json:",omitempty"`
	// Forgotten are replicas whose data are no part of the cluster any more, the latest
	// last: one that comes back with what it once knew is sent away.
	Forgotten []uint64 `json:",omitempty"`
	// Proposers are, by replica, the proposals that were applied lately: one that is
	// proposed again because its fate was unknown must not be carried out twice, perhaps
	// behind later ones.
	Proposers map[uint64]*Proposer
	// Globals are the global parameters, in JSON. The map is replaced, never changed.
	Globals map[string]json.RawMessage `json:",omitempty"`
	NextID  uint64                     // of queues, exchanges and groups; never used twice

	queues    map[uint64]*Queue
	held      map[uint64]int // queues, by placement group
	exchanges map[uint64]*Exchange
	policies  uint64 // changes with each change of a policy
	changes   []Change
}

// New returns the empty state, before a cluster is formed.
func New() *State {
	return &State{
		Nodes: map[string]*Node{}, Groups: map[uint64]*Group{}, VHosts: map[string]*VHost{}, Users: map[string]*User{},
		Drained:   map[string]bool{},
		Proposers: map[uint64]*Proposer{},
		NextID:    firstID, queues: map[uint64]*Queue{}, held: map[uint64]int{}, exchanges: map[uint64]*Exchange{},
	}
}

// firstID leaves smaller numbers to the groups that every node has: the metadata
// group and the groups of unreplicated queues.
const firstID = 1000

// ConnID names one client connection in the cluster.
type ConnID struct {
	Replica     uint64
	Incarnation uint64
	Serial      uint64
}

// Zero reports whether it names no connection.
func (c ConnID) Zero() bool { return c == ConnID{} }

// VHost is one virtual host.
type VHost struct {
	Name             string
	Description      string   `json:",omitempty"`
	Tags             []string `json:",omitempty"`
	DefaultQueueType string   `json:",omitempty"` // of declarations that name none
	Limits           Limits   `json:",omitempty"`
	Tracing          bool     `json:",omitempty"` // the firehose is on
	Protected        bool     `json:",omitempty"` // from deletion
	Exchanges        map[string]*Exchange
	Queues           map[string]*Queue
	Policies         map[string]*Policy
	OperatorPolicies map[string]*Policy `json:",omitempty"`
}

// Exchange is one exchange.
type Exchange struct {
	ID         uint64
	VHost      string
	Name       string
	Type       string
	Durable    bool
	AutoDelete bool
	Internal   bool
	Args       Args
	Bindings   []*Binding
	Store      uint64 `json:",omitempty"` // the queue of what waits in an exchange that delays

	matcher routing.Matcher
}

// Binding leads from an exchange to a queue or to another exchange.
type Binding struct {
	Source      string
	Destination string
	ToExchange  bool
	Key         string
	Args        Args
}

// Queue is one queue's record; its messages are where Group and Node say.
type Queue struct {
	ID         uint64
	VHost      string
	Name       string
	Durable    bool
	AutoDelete bool
	Owner      ConnID // of an exclusive queue
	// Internal is set on a queue that a front end needs for itself: no limit counts it, no
	// policy applies, no list shows it.
	Internal bool `json:",omitempty"`
	Args     Args
	// Group is the placement group of a replicated queue, else 0; Node is the home of
	// an unreplicated one, else "".
	Group uint64
	Node  string
	// Target is the placement group that the queue moves to, else 0.
	Target uint64
	// Delays is the exchange whose messages wait here until their delay is over; "" for
	// a queue of clients.
	Delays string `json:",omitempty"`
}

// Exclusive reports whether the queue belongs to one connection.
func (q *Queue) Exclusive() bool { return !q.Owner.Zero() }

// Replicated reports whether several nodes hold the messages.
func (q *Queue) Replicated() bool { return q.Group != 0 }

// Args is an argument table. In JSON it is the table's AMQP encoding, which keeps
// every type.
type Args struct{ message.Table }

// MarshalJSON encodes the table.
func (a Args) MarshalJSON() ([]byte, error) {
	if len(a.Table) == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(a.Append(nil))
}

// UnmarshalJSON decodes the table.
func (a *Args) UnmarshalJSON(b []byte) error {
	var raw []byte
	if err := json.Unmarshal(b, &raw); err != nil || len(raw) == 0 {
		a.Table = nil
		return err
	}
	var err error
	a.Table, _, err = message.ParseTable(raw)
	return err
}

// Change is something that an Apply changed, for whoever keeps derived state.
type Change struct {
	Kind  ChangeKind
	Queue *Queue // QueueSet, QueueGone
	Was   *Queue // QueueSet of a queue that moved: as it was
	Group uint64 // GroupSet
	Node  string // NodeSet, NodeGone
}

// ChangeKind says what changed.
type ChangeKind uint8

// The changes.
const (
	QueueSet      ChangeKind = iota + 1 // a queue began, or its configuration changed
	QueueGone                           // a queue ended
	GroupSet                            // a placement group began, or its members changed
	NodeSet                             // a node joined, or came back
	NodeGone                            // a node left
	AccessChanged                       // users, permissions or virtual hosts changed
)

func (s *State) changed(c Change) { s.changes = append(s.changes, c) }

// Queue returns a queue; the fault is NotFound.
func (s *State) Queue(vhost, name string) (*Queue, *fault.Error) {
	if v := s.VHosts[vhost]; v != nil {
		if q := v.Queues[name]; q != nil {
			return q, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no queue '%s' in vhost '%s'", name, vhost)
}

// QueueByID returns a queue, nil if there is none.
func (s *State) QueueByID(id uint64) *Queue { return s.queues[id] }

// QueuesIn returns how many queues live in a placement group; group 0 stands for those that are
// not replicated.
func (s *State) QueuesIn(group uint64) int { return s.held[group] }

// index enters a queue, new or changed, by its id.
func (s *State) index(q *Queue) {
	if was := s.queues[q.ID]; was != nil {
		s.held[was.Group]--
	}
	s.queues[q.ID] = q
	s.held[q.Group]++
}

// EachQueue calls fn with every queue, in no order.
func (s *State) EachQueue(fn func(*Queue)) {
	for _, q := range s.queues {
		fn(q)
	}
}

// Exchange returns an exchange; the fault is NotFound.
func (s *State) Exchange(vhost, name string) (*Exchange, *fault.Error) {
	if v := s.VHosts[vhost]; v != nil {
		if x := v.Exchanges[name]; x != nil {
			return x, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no exchange '%s' in vhost '%s'", name, vhost)
}

func (s *State) vhost(name string) (*VHost, *fault.Error) {
	if v := s.VHosts[name]; v != nil {
		return v, nil
	}
	return nil, fault.New(fault.NotAllowed, "vhost %s not found", name)
}

func (s *State) newID() uint64 {
	s.NextID++
	return s.NextID
}

// addVHost creates a virtual host with the exchanges that each has.
func (s *State) addVHost(name string) {
	v := &VHost{Name: name, Exchanges: map[string]*Exchange{}, Queues: map[string]*Queue{}, Policies: map[string]*Policy{}}
	s.VHosts[name] = v
	for _, x := range [...][2]string{
		{"", "direct"}, {"amq.direct", "direct"}, {"amq.fanout", "fanout"}, {"amq.topic", "topic"},
		{"amq.headers", "headers"}, {"amq.match", "headers"},
	} {
		s.addExchange(v, &Exchange{Name: x[0], Type: x[1], Durable: true})
	}
	s.addExchange(v, &Exchange{Name: "amq.rabbitmq.trace", Type: "topic", Durable: true, Internal: true})
	if name == "/" { // where the cluster's events and the nodes' logs are published
		s.addExchange(v, &Exchange{Name: "amq.rabbitmq.event", Type: "topic", Durable: true, Internal: true})
		s.addExchange(v, &Exchange{Name: "amq.rabbitmq.log", Type: "topic", Durable: true, Internal: true})
	}
}

func (s *State) addExchange(v *VHost, x *Exchange) {
	x.ID, x.VHost = s.newID(), v.Name
	x.matcher, _ = newMatcher(x)
	v.Exchanges[x.Name] = x
	s.exchanges[x.ID] = x
}

// rebuild makes what is derived from the exported fields, after a restore.
func (s *State) rebuild() error {
	s.queues, s.held, s.exchanges = map[uint64]*Queue{}, map[uint64]int{}, map[uint64]*Exchange{}
	for _, v := range s.VHosts {
		for _, q := range v.Queues {
			s.index(q)
		}
		for _, x := range v.Exchanges {
			s.exchanges[x.ID] = x
		}
		for _, policies := range [...]map[string]*Policy{v.Policies, v.OperatorPolicies} {
			for _, p := range policies {
				var err error
				if p.compiled, err = pattern.Compile(p.Pattern); err != nil {
					return fmt.Errorf("policy '%s' in vhost '%s': %w", p.Name, v.Name, err)
				}
			}
		}
	}
	for _, v := range s.VHosts {
		for _, x := range v.Exchanges {
			m, ok := newMatcher(x)
			if !ok {
				return fmt.Errorf("exchange '%s' in vhost '%s' has type '%s', which this version does not know", x.Name, v.Name, x.Type)
			}
			x.matcher = m
			for _, b := range x.Bindings {
				if dest, ok := v.destination(b); ok {
					m.Add(routing.Binding{Key: b.Key, Args: b.Args.Table, Dest: dest})
				}
			}
		}
	}
	return nil
}

// destination returns the id of what b leads to.
func (v *VHost) destination(b *Binding) (uint64, bool) {
	if b.ToExchange {
		if x := v.Exchanges[b.Destination]; x != nil {
			return x.ID, true
		}
		return 0, false
	}
	if q := v.Queues[b.Destination]; q != nil {
		return q.ID, true
	}
	return 0, false
}

// Capture encodes the state.
func (s *State) Capture() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("metadata: " + err.Error()) // plain data: can't fail
	}
	return b
}

// Restore replaces the state by a captured one.
func (s *State) Restore(b []byte) error {
	fresh := New()
	if err := json.Unmarshal(b, fresh); err != nil {
		return fmt.Errorf("metadata snapshot: %w", err)
	}
	if err := fresh.rebuild(); err != nil {
		return fmt.Errorf("metadata snapshot: %w", err)
	}
	fresh.policies = s.policies + 1
	*s = *fresh
	return nil
}
