package raftnode

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// caughtUpEntries is how near to the end of the log a learner must be to become a
// voter.
const caughtUpEntries = 64

func (g *Group) tick() {
	if g.rn == nil {
		return
	}
	g.rn.Tick()
	if g.role.Self {
		g.reconcile()
		g.goHome()
		g.giveWay()
	} else if g.role.Leader == 0 || g.down[g.role.Leader] {
		g.standUp()
	}
}

// peerDown notes a replica's death or return. If it led the group, the survivors
// forget it at once, so that none refuses the next leader its vote.
func (g *Group) peerDown(replica uint64, down bool) {
	if g.rn == nil {
		return
	}
	if !down {
		delete(g.down, replica)
		return
	}
	if g.down == nil {
		g.down = map[uint64]bool{}
	}
	g.down[replica] = true
	if g.role.Self {
		g.rn.ReportUnreachable(replica)
	}
	if g.role.Leader == replica {
		_ = g.rn.ForgetLeader()
		g.observe()
		g.campaign = 0
		g.standUp()
	}
}

// standUp makes this member a candidate when its turn has come: the first living
// member (in an order that differs from group to group) at once, each other one tick
// later than the one before, and again as long as there is no leader. Survivors
// notice a death at different moments, and the first may have the shorter log.
func (g *Group) standUp() {
	turn := g.turnToLead()
	if turn < 0 || g.host.stalled.Load() {
		return
	}
	if len(g.down) == 0 {
		turn += patienceTicks
	}
	if g.campaign >= turn && (g.campaign-turn)%electionRetryTicks == 0 {
		_ = g.rn.Campaign()
	}
	g.campaign++
}

// electionRetryTicks is how many ticks a candidate waits before it tries again: long
// enough for the votes to come in and for the others' turn.
const electionRetryTicks = 3

// patienceTicks is how much longer a member waits if no death is known: after a start
// the leader may only not have been heard yet. Raft's own time-out would be three times
// that, after a restart of the whole cluster in every group.
const patienceTicks = 3

// turnToLead is this member's place among the living voters, those that should not lead
// last; -1 if it is no voter.
func (g *Group) turnToLead() int {
	voters := slices.Clone(g.log.conf.GetVoters())
	slices.Sort(voters)
	self := g.host.opts.Replica
	place, before := -1, 0
	for i := range voters {
		id := voters[(i+int(g.ID%uint64(len(voters))))%len(voters)]
		switch {
		case id == self:
			place = before
		case g.down[id]:
		case g.avoid[id] == g.avoid[self] && place < 0, !g.avoid[id] && g.avoid[self]:
			before++
		}
	}
	if place >= 0 && g.avoid[self] {
		place = before // all that may lead go first, also those behind it in the order
	}
	return place
}

// homeTicks is how long a leader stays before it hands over to the member whose turn it
// is: long enough for a node that came back to have settled. Groups differ, so that
// they don't all move at once.
func (g *Group) homeTicks() int { return 100 + int(g.ID%64) }

// goHome spreads the leaders: each group has a member of its own to lead it, and once
// that one is up and has caught up, leadership goes there.
func (g *Group) goHome() {
	voters := slices.Sorted(slices.Values(g.log.conf.GetVoters()))
	if len(voters) < 2 || len(g.log.conf.GetVotersOutgoing()) > 0 {
		return
	}
	home := voters[g.ID%uint64(len(voters))]
	if slices.Contains(voters, g.home) {
		home = g.home
	}
	if home == g.host.opts.Replica || g.down[home] || g.avoid[home] || !g.caughtUp(home) {
		g.led = 0
		return
	}
	if g.led++; g.led >= g.homeTicks() {
		g.led = 0
		g.transfer(home)
	}
}

// moveHome says who should lead, and moves leadership there at once.
func (g *Group) moveHome(replica uint64) {
	g.home = replica
	if g.rn != nil && g.role.Self {
		g.led = g.homeTicks()
		g.goHome()
	}
}

// giveWay hands leadership over if this member should not lead, or can't, and another can.
func (g *Group) giveWay() {
	if g.host.stalled.Load() {
		if to := g.successor(); to != 0 && g.ahead(to) {
			g.transfer(to)
		}
	} else if g.avoid[g.host.opts.Replica] {
		if to := g.successor(); to != 0 && !g.avoid[to] && g.caughtUp(to) {
			g.transfer(to)
		}
	}
}

// ahead reports whether a member has on its disk what this one has not, or all there is: if
// all disks are as slow, as on one machine, nothing is gained by another leader.
func (g *Group) ahead(id uint64) bool {
	var its, own uint64
	g.rn.WithProgress(func(peer uint64, _ raft.ProgressType, pr tracker.Progress) {
		switch peer {
		case id:
			its = pr.Match
		case g.host.opts.Replica:
			own = pr.Match
		}
	})
	return its > own || its == g.log.last()
}

// successor is the living voter with the longest log, of those that may lead if there is
// one; 0 if this member is alone.
func (g *Group) successor() uint64 {
	best, match := uint64(0), uint64(0)
	g.rn.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if id == g.host.opts.Replica || typ != raft.ProgressTypePeer || g.down[id] {
			return
		}
		if better := pr.Match >= match; best == 0 || g.avoid[best] && !g.avoid[id] || better && g.avoid[best] == g.avoid[id] {
			best, match = id, pr.Match
		}
	})
	return best
}

// transfer hands leadership to a living, caught-up voter: to if it is not 0.
func (g *Group) transfer(to uint64) {
	if g.rn == nil || !g.role.Self || g.Transferring() {
		return
	}
	if to == 0 {
		to = g.successor()
	}
	if to != 0 {
		g.rn.TransferLeader(to)
	}
}

// reconcile moves the group's members towards the desired ones: add learners, and
// when all have caught up, swap old and new voters in one joint change, so that at no
// moment a majority needs a member that is gone.
func (g *Group) reconcile() {
	if len(g.desired) == 0 || len(g.log.conf.GetVotersOutgoing()) > 0 {
		return
	}
	conf := g.log.conf
	var changes []*raftpb.ConfChangeSingle
	for _, id := range g.desired {
		switch {
		case slices.Contains(conf.GetVoters(), id):
		case !slices.Contains(conf.GetLearners(), id):
			g.change(single(raftpb.ConfChangeAddLearnerNode, id))
			return
		case !g.caughtUp(id):
			return
		default:
			changes = append(changes, single(raftpb.ConfChangeAddNode, id))
		}
	}
	for _, id := range slices.Concat(conf.GetVoters(), conf.GetLearners()) {
		if slices.Contains(g.desired, id) {
			continue
		}
		if id == g.host.opts.Replica {
			g.transfer(0)
			return
		}
		changes = append(changes, single(raftpb.ConfChangeRemoveNode, id))
	}
	if len(changes) > 0 {
		g.change(changes...)
	}
}

func (g *Group) caughtUp(id uint64) bool {
	ok := false
	g.rn.WithProgress(func(peer uint64, _ raft.ProgressType, pr tracker.Progress) {
		if peer == id {
			ok = pr.State == tracker.StateReplicate && pr.Match+caughtUpEntries >= g.log.last()
		}
	})
	return ok
}

func single(typ raftpb.ConfChangeType, replica uint64) *raftpb.ConfChangeSingle {
	return &raftpb.ConfChangeSingle{Type: &typ, NodeId: &replica}
}

// change proposes a configuration change. It is refused while another is under way:
// the next tick tries again.
func (g *Group) change(changes ...*raftpb.ConfChangeSingle) {
	_ = g.rn.ProposeConfChange(&raftpb.ConfChangeV2{Changes: changes})
}

// setConf sets the members, for this group and for those who ask the host: to them, who is
// on the way out still belongs to it, as until then nothing is decided without it.
func (g *Group) setConf(conf *raftpb.ConfState) {
	g.log.conf = conf
	voters := slices.Concat(conf.GetVoters(), conf.GetVotersOutgoing())
	slices.Sort(voters)
	voters = slices.Compact(voters)
	g.voters.Store(&voters)
}

// applyMembers applies a configuration change that raft marshalled when it was
// proposed; no data leaves a joint configuration.
func (g *Group) applyMembers(data []byte) {
	cc := &raftpb.ConfChangeV2{}
	if err := proto.Unmarshal(data, cc); err != nil {
		panic(fmt.Sprintf("group %d: configuration change at index %d: %v", g.ID, g.applied, err))
	}
	g.setConf(g.rn.ApplyConfChange(cc))
	// After a restart this member must know who may vote, without asking those who no
	// longer may.
	hard := g.log.hard
	g.host.log.Append([]storage.Record{
		{Kind: storage.KindState, Group: g.ID, Data: stateBytes(hard.GetTerm(), hard.GetVote(), g.applied)},
	}, nil, nil)
}
