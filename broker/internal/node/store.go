package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/warren-mq/warren/broker/internal/queue"
	"github.com/warren-mq/warren/broker/internal/raftnode"
	"github.com/warren-mq/warren/broker/internal/storage"
)

// Messages that stay in their queues are moved from memory to run files, group by group,
// and read again when consumers come to them.
const (
	// memtableBytesDefault is how much of all groups may be in memory only, besides the
	// log, until those that hold most of it write it to runs.
	memtableBytesDefault = 32 << 20
	// memtableShare is what part of it a group must hold to be worth a run.
	memtableShare = 32
	// garbageAfter is how long a run may stay that nothing refers to.
	garbageAfter = 2 * time.Second
	// rereadAfter is when a block that could not be read is asked for again.
	rereadAfter = time.Second
	// openRunsMax is how many runs of a group are kept open.
	openRunsMax = 64
)

// store is the node's run files.
type store struct {
	fs    storage.FS
	first uint64        // runs before this one were there when the node started
	last  atomic.Uint64 // id of the last run
	// unbacked is how many bytes of messages are in memory and in the log only.
	unbacked atomic.Int64

	mu     sync.Mutex
	groups map[uint64]*runs
}

func openStore(fs storage.FS) (*store, error) {
	all, err := storage.Runs(fs)
	if err != nil {
		return nil, err
	}
	s := &store{fs: fs, groups: map[uint64]*runs{}}
	for _, r := range all {
		s.first = max(s.first, r.ID)
	}
	s.last.Store(s.first)
	s.first++
	return s, nil
}

// runsOf returns the runs of a group that is hosted from now on.
func (s *store) runsOf(group uint64) *runs {
	s.forget(group)
	r := &runs{store: s, group: group, open: map[uint64]*storage.Run{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[group] = r
	return r
}

// forget takes a group that is not hosted any more out of the account.
func (s *store) forget(group uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.groups[group]; r != nil {
		s.unbacked.Add(-r.unbacked.Swap(0))
		delete(s.groups, group)
	}
}

// drop removes all runs of a group that is not hosted any more.
func (s *store) drop(group uint64) error {
	s.forget(group)
	all, err := storage.Runs(s.fs)
	for _, r := range all {
		if r.Group == group {
			err = errors.Join(err, storage.RemoveRun(s.fs, group, r.ID))
		}
	}
	return err
}

// remove removes runs of a group; nobody reads them any more.
func (s *store) remove(group uint64, ids []uint64) error {
	var errs []error
	for _, id := range ids {
		errs = append(errs, storage.RemoveRun(s.fs, group, id))
	}
	return errors.Join(errs...)
}

// removeGroups removes the runs of groups that this node does not host.
func (s *store) removeGroups(hosts func(group uint64) bool) error {
	all, err := storage.Runs(s.fs)
	for _, r := range all {
		if !hosts(r.Group) && r.ID < s.first {
			err = errors.Join(err, storage.RemoveRun(s.fs, r.Group, r.ID))
		}
	}
	return err
}

// receive writes what comes with a snapshot into a run; the result is what stands in
// front of the payload: the run's id, 0 if nothing came.
func (s *store) receive(group uint64, body io.Reader) (files []byte, err error) {
	b := make([]byte, 64<<10)
	var w *storage.RunWriter
	var id uint64
	for {
		n, rerr := body.Read(b)
		if n > 0 && w == nil {
			id = s.last.Add(1)
			if w, err = storage.CreateRun(s.fs, group, id); err != nil {
				return nil, err
			}
		}
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				w.Abort()
				return nil, err
			}
		}
		if errors.Is(rerr, io.EOF) {
			break
		}
		if rerr != nil {
			if w != nil {
				w.Abort()
			}
			return nil, rerr
		}
	}
	if w != nil {
		if err := w.Finish(); err != nil {
			return nil, err
		}
	}
	return u64s(nil, id), nil
}

// runs is a group's runs, for its machine and for who writes beside it.
type runs struct {
	store *store
	group uint64

	unbacked atomic.Int64 // what the group adds to the store's

	mu   sync.Mutex
	open map[uint64]*storage.Run
}

// read returns a block, which is whole.
func (r *runs) read(queueID, base uint64, ref queue.Ref) ([]byte, error) {
	f, b, err := r.bytes(ref)
	if err == nil {
		if err = queue.CheckBlock(b, queueID, base); err != nil {
			err = f.Error(ref.Offset, err)
		}
	}
	return b, err
}

func (r *runs) bytes(ref queue.Ref) (f *storage.Run, b []byte, err error) {
	r.mu.Lock()
	defer r.mu.Unlock() // a run is closed by those who hold it only
	if f = r.open[ref.Run]; f == nil {
		if f, err = storage.OpenRun(r.store.fs, r.group, ref.Run); err != nil {
			return nil, nil, err
		}
		for id, old := range r.open {
			if len(r.open) < openRunsMax {
				break
			}
			delete(r.open, id)
			_ = old.Close() // it was only read
		}
		r.open[ref.Run] = f
	}
	b, err = f.Read(ref.Offset, int(ref.Length))
	return f, b, err
}

// remove removes runs that nothing refers to.
func (r *runs) remove(ids []uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if f := r.open[id]; f != nil {
			delete(r.open, id)
			_ = f.Close() // it was only read
		}
	}
	return r.store.remove(r.group, ids)
}

// sweep removes the runs that were there when the node started and that a shard does not
// refer to.
func (r *runs) sweep(named []uint64) error {
	all, err := storage.Runs(r.store.fs)
	if err != nil {
		return err
	}
	var gone []uint64
	for _, x := range all {
		if _, used := slices.BinarySearch(named, x.ID); x.Group == r.group && x.ID < r.store.first && !used {
			gone = append(gone, x.ID)
		}
	}
	return r.remove(gone)
}

// capture is a shard's image on its way to disk or to another member.
type capture struct {
	m     *shardMachine
	image *queue.Image
	run   uint64
	sent  atomic.Int64 // blocks
}

// Capture implements raftnode.Machine.
func (m *shardMachine) Capture(whole bool) raftnode.Capture {
	m.captured = m.n.now()
	return &capture{m: m, image: m.shard.Image(whole)}
}

// Save implements raftnode.Capture.
func (c *capture) Save() ([]byte, error) {
	if c.image.Writes() {
		s := c.m.n.store
		c.run = s.last.Add(1)
		w, err := storage.CreateRun(s.fs, c.m.g.ID, c.run)
		if err != nil {
			return nil, err
		}
		if err := c.image.WriteRun(c.run, w, c.m.block); err != nil {
			w.Abort()
			return nil, err
		}
		if err := w.Finish(); err != nil {
			return nil, err
		}
	}
	return append(make([]byte, 8), c.image.Manifest()...), nil
}

// Saved implements raftnode.Capture.
func (c *capture) Saved() {
	gone, stale := c.m.shard.Backed(c.image)
	if stale && c.run != 0 {
		gone = append(gone, c.run)
	}
	gone = append(gone, c.m.obsolete...)
	c.m.obsolete = nil
	if err := c.m.runs.remove(gone); err != nil {
		c.m.n.cfg.Logger.Warn("run files not removed", "group", c.m.g.ID, "error", err)
	}
}

// Send implements raftnode.Capture.
func (c *capture) Send(w io.Writer) ([]byte, error) {
	if c.image.Writes() {
		if err := c.image.WriteRun(0, countWrites{w, &c.sent}, c.m.block); err != nil {
			return nil, err
		}
	}
	return c.image.Manifest(), nil
}

// Progress implements raftnode.Capture.
func (c *capture) Progress() (done, of int64) { return c.sent.Load(), int64(c.image.Blocks()) }

// countWrites counts the calls of a writer.
type countWrites struct {
	w io.Writer
	n *atomic.Int64
}

func (c countWrites) Write(b []byte) (int, error) {
	c.n.Add(1)
	return c.w.Write(b)
}

// Restore implements raftnode.Machine.
func (m *shardMachine) Restore(data []byte) error {
	m.resign()
	if len(data) < 8 {
		return fmt.Errorf("payload of %d bytes", len(data))
	}
	before, err := m.shard.Restore(data[8:], binary.LittleEndian.Uint64(data))
	if err == nil {
		// They go once the new state is durable, which it is at the next checkpoint.
		m.obsolete = append(m.obsolete, m.shard.Unused(before)...)
		m.countMemory()
	}
	return err
}

// countMemory passes on to the store what the shard holds in memory.
func (m *shardMachine) countMemory() int64 {
	_, unbacked := m.shard.Memory()
	m.n.store.unbacked.Add(unbacked - m.runs.unbacked.Swap(unbacked))
	return unbacked
}

// makeRoom writes the shard's messages to a run if memory is short and this shard has
// much of it.
func (m *shardMachine) makeRoom() {
	unbacked := m.countMemory()
	most := m.n.cfg.MemtableBytes
	if unbacked < most/memtableShare || m.g.Checkpointing() {
		return
	}
	if all := m.n.store.unbacked.Load(); all > most && unbacked >= all/(memtableShare/2) {
		m.g.Checkpoint()
	}
}

// collectGarbage frees runs without messages, if nothing else has for a while.
func (m *shardMachine) collectGarbage(now time.Time) {
	if now.Sub(m.captured) > garbageAfter && !m.g.Checkpointing() && (m.shard.Garbage() || len(m.obsolete) > 0) {
		m.g.Checkpoint()
	}
}

// blockEvent brings a block of a queue, or says why it does not.
type blockEvent struct {
	queue, base uint64
	from        queue.Ref
	block       []byte
	err         error
	repair      bool // it is another member's
	retry       bool // it may be asked for again
}

// load reads chunks of a queue in the background.
func (m *shardMachine) load(q *queue.Queue, bases []uint64) {
	type want struct {
		base uint64
		ref  queue.Ref
	}
	var wants []want
	for _, base := range bases {
		if ref, ok := q.Block(base); ok {
			wants = append(wants, want{base, ref})
		} else {
			q.NotLoaded(base)
		}
	}
	if len(wants) == 0 {
		return
	}
	n, r, group, id := m.n, m.runs, m.g.ID, q.ID
	n.tasks.Go(func() {
		for _, w := range wants {
			b, err := r.read(id, w.base, w.ref)
			n.host.Post(group, blockEvent{queue: id, base: w.base, from: w.ref, block: b, err: err})
		}
	})
}

// block returns a block, from another member if this one's disk has damaged it.
func (m *shardMachine) block(queueID, base uint64, ref queue.Ref) ([]byte, error) {
	b, err := m.runs.read(queueID, base, ref)
	if err == nil {
		return b, nil
	}
	m.n.cfg.Logger.Error("messages not read", "group", m.g.ID, "queue", queueID, "from", base, "error", err)
	if b, ferr := m.n.fetchBlock(m.g.ID, queueID, base); ferr == nil {
		return b, nil
	}
	return nil, err
}

// loaded takes a block in.
func (m *shardMachine) loaded(e blockEvent) {
	q := m.shard.Queue(e.queue)
	if q == nil {
		return
	}
	if e.retry {
		q.NotLoaded(e.base)
		q.Touch()
		return
	}
	if e.repair {
		m.repaired(q, e)
		return
	}
	if e.err == nil {
		if e.err = q.Load(e.base, e.block); e.err == nil {
			return
		}
	}
	if now, ok := q.Block(e.base); !ok || now != e.from { // it was written anew meanwhile
		q.NotLoaded(e.base)
		q.Touch()
		return
	}
	m.n.cfg.Logger.Error("messages not read", "group", m.g.ID, "queue", q.Config.Name, "vhost", q.Config.VHost,
		"from", e.base, "error", e.err)
	n, group := m.n, m.g.ID
	e.repair = true
	n.tasks.Go(func() {
		e.block, e.err = n.fetchBlock(group, e.queue, e.base)
		n.host.Post(group, e)
	})
}

// repaired takes in what another member had in place of a damaged block. What nobody has
// is lost if there is nobody else who could have it; else it is asked for again.
func (m *shardMachine) repaired(q *queue.Queue, e blockEvent) {
	if e.err == nil {
		e.err = q.Repair(e.base, e.block)
	}
	log := m.n.cfg.Logger.With("group", m.g.ID, "queue", q.Config.Name, "vhost", q.Config.VHost, "from", e.base)
	switch missing := q.Missing(e.base); {
	case e.err == nil && len(missing) == 0:
		log.Warn("messages repaired from another member")
	case isAlone(m.g.ID):
		log.Error("messages lost: their only copy is damaged", "ranges", missing)
		m.own = queue.AppendSettle(m.own, q.ID, missing)
	default:
		log.Error("messages not repaired yet", "error", e.err)
		n, group := m.n, m.g.ID
		time.AfterFunc(rereadAfter, func() { n.host.Post(group, blockEvent{queue: e.queue, base: e.base, retry: true}) })
	}
}

// blockRequest asks a member for a chunk's messages.
type blockRequest struct {
	queue, base uint64
	answer      chan<- func() ([]byte, error)
}

// fetchBlock asks the other members of a group for a chunk's messages.
func (n *Node) fetchBlock(group, queueID, base uint64) ([]byte, error) {
	err := errors.New("no other member has it")
	for replica, addr := range n.peerReplicas() {
		if isAlone(group) || !n.transport.Alive(replica) {
			continue
		}
		var r callReply
		if r, err = n.callNode(n.ctx, addr, call{Op: callBlock, Group: group, Queue: queueID, Base: base}); err != nil {
			continue
		}
		if err = queue.CheckBlock(r.Block, queueID, base); err == nil {
			return r.Block, nil
		}
	}
	return nil, err
}

// blockHere returns a chunk's messages for another member.
func (n *Node) blockHere(group, queueID, base uint64) ([]byte, error) {
	answer := make(chan func() ([]byte, error), 1)
	if !n.host.Post(group, blockRequest{queueID, base, answer}) {
		return nil, errors.New("not a member")
	}
	t := time.NewTimer(callTimeout)
	defer t.Stop()
	select {
	case write := <-answer:
		return write()
	case <-t.C:
		return nil, errors.New("no answer in time")
	}
}

// answerBlock hands over what writes a chunk's block.
func (m *shardMachine) answerBlock(r blockRequest) {
	im, read := m.shard.ImageOfChunk(r.queue, r.base), m.runs.read
	r.answer <- func() ([]byte, error) {
		var b bytes.Buffer
		err := im.WriteRun(0, &b, read)
		return b.Bytes(), err
	}
}
