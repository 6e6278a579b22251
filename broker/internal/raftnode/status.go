package raftnode

import (
	"cmp"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// GroupStatus is a group as one of its members sees it.
type GroupStatus struct {
	Leader  uint64 // replica, 0: none is known
	Term    uint64
	Last    uint64 // index of the log's last entry
	Commit  uint64
	Applied uint64
	Trimmed uint64         // index up to which the log is not kept any more
	Members []MemberStatus // by replica; only the leader knows them
}

// MemberStatus is one member as the group's leader sees it.
type MemberStatus struct {
	Replica uint64
	Voter   bool
	Synced  uint64 // index up to which its log is on its disk
	State   string // replicate, probe (it does not answer) or snapshot (it is sent the state)
	Sent    int    // percent of the snapshot that is on its way
}

type statusEvent struct{ answer func(GroupStatus) }

// Status asks for the status of group id, and reports whether this node hosts it. The
// group's worker calls answer, unless the group is removed before.
func (h *Host) Status(id uint64, answer func(GroupStatus)) bool {
	return h.Post(id, statusEvent{answer})
}

func (g *Group) status() GroupStatus {
	s := GroupStatus{Leader: g.role.Leader, Term: g.role.Term, Applied: g.applied}
	if g.rn == nil {
		s.Last, s.Commit = g.last, g.applied
		return s
	}
	s.Last, s.Trimmed, s.Commit = g.log.last(), g.log.first, g.rn.BasicStatus().GetCommit()
	if !g.role.Self {
		return s
	}
	g.rn.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		m := MemberStatus{Replica: id, Voter: typ == raft.ProgressTypePeer, Synced: pr.Match, State: "replicate"}
		switch {
		case id == g.host.opts.Replica:
		case g.down[id] || pr.State == tracker.StateProbe:
			m.State = "probe"
		case pr.State == tracker.StateSnapshot:
			m.State = "snapshot"
			if c := g.sending[id]; c != nil {
				if done, of := c.Progress(); of > 0 {
					m.Sent = int(done * 100 / of)
				}
			}
		}
		s.Members = append(s.Members, m)
	})
	slices.SortFunc(s.Members, func(a, b MemberStatus) int { return cmp.Compare(a.Replica, b.Replica) })
	return s
}
