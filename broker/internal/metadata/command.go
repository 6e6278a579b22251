package metadata

import (
	"encoding/json"
	"fmt"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// Command is one change of the topology: exactly one field is set. Applying it twice
// does no harm, so a proposer that does not know its fate proposes it again.
type Command struct {
	Form            *Form            `json:",omitempty"`
	NodeUp          *Node            `json:",omitempty"`
	NodeJoin        *NodeJoin        `json:",omitempty"`
	NodeDown        *NodeDown        `json:",omitempty"`
	NodeForget      *NodeForget      `json:",omitempty"`
	NodeDrain       *NodeDrain       `json:",omitempty"`
	NodeShrink      *NodeShrink      `json:",omitempty"`
	NodeGrow        *NodeGrow        `json:",omitempty"`
	GroupMember     *GroupMember     `json:",omitempty"`
	GroupsSet       []*Group         `json:",omitempty"`
	GroupVoters     *GroupVoters     `json:",omitempty"`
	ExchangeDeclare *ExchangeDeclare `json:",omitempty"`
	ExchangeDelete  *ExchangeDelete  `json:",omitempty"`
	QueueDeclare    *QueueDeclare    `json:",omitempty"`
	QueueDelete     *QueueDelete     `json:",omitempty"`
	QueueMoved      *QueueMoved      `json:",omitempty"`
	Bind            *BindCommand     `json:",omitempty"`
	Unbind          *BindCommand     `json:",omitempty"`
	ConnectionGone  *ConnectionGone  `json:",omitempty"`
	PolicySet       *Policy          `json:",omitempty"`
	PolicyClear     *PolicyClear     `json:",omitempty"`
	VHostPut        *VHostPut        `json:",omitempty"`
	VHostDelete     *VHostDelete     `json:",omitempty"`
	// UserPut adds a user. Of one that is there it sets password and tags only.
	UserPut              *User                 `json:",omitempty"`
	UserDelete           *UserDelete           `json:",omitempty"`
	PermissionSet        *PermissionSet        `json:",omitempty"`
	PermissionClear      *PermissionClear      `json:",omitempty"`
	TopicPermissionSet   *TopicPermissionSet   `json:",omitempty"`
	TopicPermissionClear *TopicPermissionClear `json:",omitempty"`
	LimitSet             *LimitSet             `json:",omitempty"`
	LimitClear           *LimitClear           `json:",omitempty"`
	GlobalSet            *GlobalSet            `json:",omitempty"`
	GlobalClear          *GlobalClear          `json:",omitempty"`
}

// Encode encodes the command for the log.
func (c *Command) Encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic("metadata: " + err.Error()) // plain data: can't fail
	}
	return b
}

// Result is what a command came to.
type Result struct {
	Fault   *fault.Error // refused: nothing changed
	Queue   *Queue       // QueueDeclare
	Changes []Change
}

// Apply applies an encoded command.
func (s *State) Apply(b []byte) Result {
	var c Command
	if err := json.Unmarshal(b, &c); err != nil {
		panic(fmt.Sprintf("metadata: command %q: %v", b, err))
	}
	r := Result{}
	switch {
	case c.Form != nil:
		s.form(c.Form)
	case c.NodeUp != nil:
		r.Fault = s.nodeUp(c.NodeUp)
	case c.NodeJoin != nil:
		r.Fault = s.nodeJoin(c.NodeJoin)
	case c.NodeDown != nil:
		s.nodeDown(c.NodeDown)
	case c.NodeForget != nil:
		s.nodeForget(c.NodeForget)
	case c.NodeDrain != nil:
		r.Fault = s.nodeDrain(c.NodeDrain)
	case c.NodeShrink != nil:
		r.Fault = s.nodeShrink(c.NodeShrink)
	case c.GroupMember != nil:
		r.Fault = s.groupMember(c.GroupMember)
	case c.NodeGrow != nil:
		r.Fault = s.nodeGrow(c.NodeGrow)
	case c.GroupsSet != nil:
		s.groupsSet(c.GroupsSet)
	case c.GroupVoters != nil:
		s.groupVoters(c.GroupVoters)
	case c.ExchangeDeclare != nil:
		r.Fault = s.exchangeDeclare(c.ExchangeDeclare)
	case c.ExchangeDelete != nil:
		r.Fault = s.exchangeDelete(c.ExchangeDelete)
	case c.QueueDeclare != nil:
		r.Queue, r.Fault = s.queueDeclare(c.QueueDeclare)
	case c.QueueDelete != nil:
		s.queueDelete(c.QueueDelete)
	case c.QueueMoved != nil:
		s.queueMoved(c.QueueMoved)
	case c.Bind != nil:
		r.Fault = s.bind(c.Bind)
	case c.Unbind != nil:
		r.Fault = s.unbind(c.Unbind)
	case c.ConnectionGone != nil:
		s.dropOwned(func(o ConnID) bool { return o == c.ConnectionGone.Owner })
	case c.PolicySet != nil:
		r.Fault = s.policySet(c.PolicySet)
	case c.PolicyClear != nil:
		r.Fault = s.policyClear(c.PolicyClear)
	default:
		r.Fault = s.applyAccess(&c, b)
	}
	r.Changes, s.changes = s.changes, nil
	return r
}

// applyAccess applies what concerns users and virtual hosts.
func (s *State) applyAccess(c *Command, encoded []byte) *fault.Error {
	switch {
	case c.VHostPut != nil:
		return s.vhostPut(c.VHostPut)
	case c.VHostDelete != nil:
		return s.vhostDelete(c.VHostDelete)
	case c.UserPut != nil:
		return s.userPut(c.UserPut)
	case c.UserDelete != nil:
		return s.userDelete(c.UserDelete)
	case c.PermissionSet != nil:
		return s.permissionSet(c.PermissionSet)
	case c.PermissionClear != nil:
		return s.permissionClear(c.PermissionClear)
	case c.TopicPermissionSet != nil:
		return s.topicPermissionSet(c.TopicPermissionSet)
	case c.TopicPermissionClear != nil:
		return s.topicPermissionClear(c.TopicPermissionClear)
	case c.LimitSet != nil:
		return s.limitSet(c.LimitSet)
	case c.LimitClear != nil:
		return s.limitClear(c.LimitClear)
	case c.GlobalSet != nil:
		return s.globalSet(c.GlobalSet)
	case c.GlobalClear != nil:
		return s.globalClear(c.GlobalClear)
	}
	panic(fmt.Sprintf("metadata: command %q, which this version does not know", encoded))
}

// Form begins a cluster.
type Form struct {
	ClusterID string
	Guest     *User // the first user, who may do everything in vhost "/"
}

func (s *State) form(f *Form) {
	if s.ClusterID != "" {
		return
	}
	s.ClusterID = f.ClusterID
	s.addVHost("/")
	if f.Guest != nil {
		s.Users[f.Guest.Name] = f.Guest
	}
}

// ConnectionGone ends what a connection owned.
type ConnectionGone struct{ Owner ConnID }

// dropOwned deletes the exclusive queues whose owner is gone.
func (s *State) dropOwned(gone func(ConnID) bool) {
	for _, q := range s.sortedQueues() {
		if q.Exclusive() && gone(q.Owner) {
			s.dropQueue(q)
		}
	}
}
