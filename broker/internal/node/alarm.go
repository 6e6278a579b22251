package node

import (
	"errors"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/resource"
)

// Alarm is what a node runs out of. While any node of the cluster does, no connection
// may publish; consumers and their acknowledgements go on, since they make room.
type Alarm uint8

// The alarms.
const (
	MemoryAlarm Alarm = 1 << iota
	DiskAlarm
)

// String returns the reason as connection.blocked gives it; "" for no alarm.
func (a Alarm) String() string {
	var of []string
	if a&MemoryAlarm != 0 {
		of = append(of, "memory")
	}
	if a&DiskAlarm != 0 {
		of = append(of, "disk")
	}
	if len(of) == 0 {
		return ""
	}
	return "low on " + strings.Join(of, " & ")
}

// Watermarks are the limits behind the alarms.
type Watermarks struct {
	// Memory is how many bytes the process may use; 0: memoryShare of what there is.
	Memory uint64
	// DiskFree is how many bytes must be free where the node writes; 0: diskFreeDefault.
	DiskFree uint64
}

const (
	memoryShare = 0.6
	// diskFreeDefault has room for what is on its way when the alarm comes: the log's next
	// segment, the messages in memory, and what publishers send before they are stopped.
	diskFreeDefault = 200 << 20
	alarmInterval   = 500 * time.Millisecond
)

// alarms is what this node knows of the cluster's alarms.
type alarms struct {
	mu    sync.Mutex
	marks Watermarks
	nodes map[uint64]Alarm // by replica; none: no alarm
	all   Alarm
	kick  chan struct{}
}

// SetWatermarks changes the limits of this node. They count at once.
func (n *Node) SetWatermarks(w Watermarks) {
	n.alarms.mu.Lock()
	n.alarms.marks = w
	n.alarms.mu.Unlock()
	select {
	case n.alarms.kick <- struct{}{}:
	default:
	}
}

// Alarms returns the alarms of each node that has any, by replica.
func (n *Node) Alarms() map[uint64]Alarm {
	n.alarms.mu.Lock()
	defer n.alarms.mu.Unlock()
	all := make(map[uint64]Alarm, len(n.alarms.nodes))
	for r, a := range n.alarms.nodes {
		all[r] = a
	}
	return all
}

// watchResources raises and clears this node's alarms until the node stops.
func (n *Node) watchResources() {
	total, err := resource.MemoryTotal()
	if err != nil {
		n.cfg.Logger.Warn("no memory alarm without an absolute limit", "error", err)
	}
	tick := time.NewTicker(alarmInterval)
	defer tick.Stop()
	for {
		n.alarms.mu.Lock()
		marks := n.alarms.marks
		n.alarms.mu.Unlock()
		if marks.Memory == 0 {
			marks.Memory = uint64(memoryShare * float64(total))
		}
		if marks.DiskFree == 0 {
			marks.DiskFree = diskFreeDefault
		}
		now := n.measure(marks)
		n.alarmOf(n.id.Replica, now)
		n.transport.Broadcast(kindAlarm, []byte{byte(now)}) // again and again: peers come and go
		select {
		case <-n.stopped:
			return
		case <-tick.C:
		case <-n.alarms.kick:
		}
	}
}

// measure says what this node runs out of.
func (n *Node) measure(marks Watermarks) (a Alarm) {
	used, err := resource.MemoryUsed()
	if err == nil && marks.Memory > 0 && used > marks.Memory {
		// What is garbage, or freed and not given back, is no reason to stop anybody.
		debug.FreeOSMemory()
		if used, err = resource.MemoryUsed(); used > marks.Memory {
			a |= MemoryAlarm
		}
	}
	free, derr := resource.DiskFree(n.cfg.DataDir)
	if derr == nil && free < marks.DiskFree {
		a |= DiskAlarm
	}
	if err = errors.Join(err, derr); err != nil && !errors.Is(err, resource.ErrUnknown) {
		n.cfg.Logger.Warn("resources not measured", "error", err)
	}
	return a
}

// alarmOf takes in a node's alarms and tells the links if the cluster's change.
func (n *Node) alarmOf(replica uint64, a Alarm) {
	n.alarms.mu.Lock()
	defer n.alarms.mu.Unlock()
	if n.alarms.nodes[replica] == a {
		return
	}
	if replica == n.id.Replica {
		n.emitAlarms(n.alarms.nodes[replica], a)
	}
	n.cfg.Logger.Warn("resource alarm", "replica", replica, "alarm", a.String(), "on", a != 0)
	if n.alarms.nodes[replica] = a; a == 0 {
		delete(n.alarms.nodes, replica)
	}
	var all Alarm
	for _, a := range n.alarms.nodes {
		all |= a
	}
	if all == n.alarms.all {
		return
	}
	n.alarms.all = all
	n.linksMu.Lock()
	defer n.linksMu.Unlock()
	for l := range n.links {
		l.session.Blocked(all.String())
	}
}

// warn tells a new link of the alarms that there are. The link is among n.links already.
func (n *Node) warn(l *Link) {
	n.alarms.mu.Lock()
	defer n.alarms.mu.Unlock()
	if n.alarms.all != 0 {
		l.session.Blocked(n.alarms.all.String())
	}
}
