package node

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/resource"
)

// MachineStatus is what a node's process uses, and what it may use. A limit of 0 is not
// known.
type MachineStatus struct {
	PID                          int
	Started                      time.Time
	MemoryUsed, MemoryLimit      uint64 // bytes; the alarm comes past the limit
	HeapBytes                    uint64 // of them, what the program's objects take
	DiskFree, DiskLimit          uint64 // bytes; the alarm comes below the limit
	LogBytes, RunBytes           uint64 // on disk: the log, and messages that were not taken at once
	SnapshotBytes                uint64
	LogFiles                     int
	FilesOpen, FilesMax          uint64
	Goroutines, Processors       int
	Alarm                        Alarm
	Connections, Channels, Links int
	Groups, Led                  int // placement groups held, and those of them led
	GoVersion                    string
	DataDir                      string
	DiskStalled                  time.Duration // for how long a write has been waiting
}

func (n *Node) machineHere() MachineStatus {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m := MachineStatus{
		PID: os.Getpid(), Started: n.started, HeapBytes: mem.HeapAlloc, Goroutines: runtime.NumGoroutine(),
		Processors: runtime.GOMAXPROCS(0), GoVersion: runtime.Version(), DataDir: n.cfg.DataDir, DiskStalled: n.host.Stalled(),
	}
	marks := n.watermarks()
	m.MemoryLimit, m.DiskLimit = marks.Memory, marks.DiskFree
	m.MemoryUsed, _ = resource.MemoryUsed() // 0 where the system does not tell
	m.DiskFree, _ = resource.DiskFree(n.cfg.DataDir)
	m.FilesOpen, m.FilesMax, _ = resource.Files()
	for dir, to := range map[string]*uint64{"wal": &m.LogBytes, "run": &m.RunBytes, "snap": &m.SnapshotBytes} {
		*to = dirBytes(filepath.Join(n.cfg.DataDir, dir))
	}
	if entries, err := os.ReadDir(filepath.Join(n.cfg.DataDir, "wal")); err == nil {
		m.LogFiles = len(entries)
	}
	n.alarms.mu.Lock()
	m.Alarm = n.alarms.nodes[n.id.Replica]
	n.alarms.mu.Unlock()
	n.linksMu.Lock()
	for l := range n.links {
		if l.open {
			m.Connections++
		}
	}
	m.Links, m.Channels = len(n.links), n.tally.all
	n.linksMu.Unlock()
	n.topologyMu.RLock()
	groups := n.topology.GroupIDs()
	n.topologyMu.RUnlock()
	for _, id := range groups {
		if !n.host.Hosts(id) {
			continue
		}
		m.Groups++
		if n.leaderOf(id) == n.id.Replica {
			m.Led++
		}
	}
	return m
}

// dirBytes returns the length of a directory's files, as far as they can be seen.
func dirBytes(dir string) (sum uint64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && i.Mode().IsRegular() {
			sum += uint64(i.Size())
		}
	}
	return sum
}

// ListMachines returns what each node's process uses, by the node's name.
func (n *Node) ListMachines(ctx context.Context) (map[string]MachineStatus, []string) {
	all := map[string]MachineStatus{}
	var mu sync.Mutex
	add := func(name string, m MachineStatus) {
		mu.Lock()
		defer mu.Unlock()
		all[name] = m
	}
	missing := n.eachNode(ctx, call{Op: callMachine}, func() { add(n.cfg.Name, n.machineHere()) },
		func(r callReply) {
			if r.Machine != nil {
				add(r.Name, *r.Machine)
			}
		})
	return all, missing
}

// Machine returns what this node's process uses.
func (n *Node) Machine() MachineStatus { return n.machineHere() }

// watermarks returns the limits that count.
func (n *Node) watermarks() Watermarks {
	n.alarms.mu.Lock()
	defer n.alarms.mu.Unlock()
	w := n.alarms.marks
	if w.Memory == 0 {
		if total, err := resource.MemoryTotal(); err == nil {
			w.Memory = uint64(memoryShare * float64(total))
		}
	}
	if w.DiskFree == 0 {
		w.DiskFree = diskFreeDefault
	}
	return w
}

// MemoryTotal returns how many bytes of memory the process could use at most.
func (n *Node) MemoryTotal() (uint64, error) { return resource.MemoryTotal() }
