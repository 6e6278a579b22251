package node

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// The audit log: what operators changed, on the node that they asked. It is a file of one
// JSON object a line, and the file before it, so that it outlives the node's run and has a
// bound.
const (
	changesFile     = "audit.jsonl"
	changesFileOld  = "audit.1.jsonl"
	changesBytesMax = 1 << 20 // of one file
	changesShown    = 2000    // of the latest
)

// Change is something that an operator did, or was refused.
type Change struct {
	At     int64  `json:"at"` // Unix milliseconds
	Node   string `json:"node"`
	User   string `json:"user"`
	From   string `json:"from"` // address
	With   string `json:"with"` // the client's name for itself
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`          // HTTP
	Error  string `json:"error,omitempty"` // why it was refused
}

// changes are the audit log of this node. The files are read when they are needed first.
type changes struct {
	mu     sync.Mutex
	loaded bool
	kept   []Change // oldest first
	size   int64    // of the file
}

// NoteChange writes what an operator did to the audit log. At and Node are filled in.
func (n *Node) NoteChange(c Change) {
	c.At, c.Node = n.now().UnixMilli(), n.cfg.Name
	s := &n.changes
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load(n.cfg.FS)
	s.keep(c)
	line, err := json.Marshal(c)
	if err == nil {
		err = s.write(n.cfg.FS, append(line, '\n'))
	}
	if err != nil {
		n.cfg.Logger.Warn("audit log not written", "error", err)
	}
}

func (s *changes) keep(c Change) {
	if len(s.kept) == changesShown {
		s.kept = slices.Delete(s.kept, 0, changesShown/10) // a tenth at once: not one by one
	}
	s.kept = append(s.kept, c)
}

// load reads what earlier runs of the node have written. A line that a crash has torn is
// left out.
func (s *changes) load(fs storage.FS) {
	if s.loaded {
		return
	}
	s.loaded = true
	for _, name := range [...]string{changesFileOld, changesFile} {
		b, err := storage.ReadFile(fs, name)
		if err != nil {
			continue // there is none yet
		}
		s.size = int64(len(b)) // of the last
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			var c Change
			if json.Unmarshal(lines.Bytes(), &c) == nil {
				s.keep(c)
			}
		}
	}
}

// write appends a line, durably.
func (s *changes) write(fs storage.FS, line []byte) error {
	if s.size+int64(len(line)) > changesBytesMax {
		if err := fs.Rename(changesFile, changesFileOld); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		s.size = 0
	}
	f, err := fs.Open(changesFile, true)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(line, s.size); err == nil {
		s.size += int64(len(line))
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// changesHere returns the latest of this node's audit log, oldest first.
func (n *Node) changesHere() []Change {
	s := &n.changes
	s.mu.Lock()
	defer s.mu.Unlock()
	s.load(n.cfg.FS)
	return slices.Clone(s.kept)
}

// ListChanges returns the latest of all nodes' audit logs, oldest first.
func (n *Node) ListChanges(ctx context.Context) Listing[Change] {
	var mu sync.Mutex
	var all []Change
	add := func(list []Change) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, list...)
	}
	missing := n.eachNode(ctx, call{Op: callChanges}, func() { add(n.changesHere()) }, func(r callReply) { add(r.Changes) })
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(a.At, b.At) })
	return Listing[Change]{all, missing}
}
