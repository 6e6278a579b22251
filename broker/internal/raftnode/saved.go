package raftnode

import (
	"sync"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// saved guards a group's snapshot file, which two write: a background task that makes
// room in the log, and the log's writer, which installs what the leader sent.
type saved struct {
	mu    sync.Mutex
	index uint64 // of the file's content
	gone  bool   // the group was removed: its successor owns the file
}

// write replaces g's snapshot by payload, durably, unless it has a newer one, and lets
// the log free what the snapshot holds.
func (s *saved) write(g *Group, index uint64, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || index <= s.index {
		return nil
	}
	if err := storage.WriteSnapshot(g.host.opts.FS, g.ID, payload); err != nil {
		return err
	}
	s.index = index
	return g.host.log.Compact(g.ID, index)
}

// retire ends the writing of snapshots.
func (s *saved) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
}
