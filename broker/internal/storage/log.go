package storage

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Limits and defaults of the log.
const (
	segmentBytesDefault = 64 << 20
	segmentBytesMin     = 1 << 16
	segmentStepBytes    = 8 << 20 // what is preallocated at once
	segmentsKeptDefault = 4
	batchBytesMax       = 16 << 20
	spareSegmentsMax    = 6
	logDir              = "wal"
)

// LogOptions configure a Log; the zero value is good.
type LogOptions struct {
	SegmentBytes int64 // length of a segment; 64 MiB
	// SegmentsKept is the number of segments past which Pressure is called; 4.
	SegmentsKept int
	// Pressure is called with the groups that keep the oldest segment from being freed:
	// they should take a snapshot and call Compact. It must not block nor call the log:
	// the log's writer calls it, and whoever calls Compact, Drop or OpenLog.
	Pressure func(groups []uint64)
	// Failed is called once by the log's writer, and must not wait for it, if a write or
	// sync fails. The log accepts nothing more: what was written since the last good
	// sync is unknown, so the node must stop.
	Failed func(err error)
	// Synced is called by the log's writer after each batch, with how long it took; nil:
	// nobody wants to know. It must not block.
	Synced func(took time.Duration)
	// NoSync leaves the sync out, for tests that do not restart.
	NoSync bool
}

// Log is the write-ahead log of one node, shared by all its groups. One goroutine
// writes; whatever was appended while it synced goes next, as one batch.
type Log struct {
	fs   FS
	opts LogOptions

	mu      sync.Mutex
	wake    sync.Cond
	pending []appendCall
	closed  bool
	done    chan struct{}

	// Owned by the writer, and by whoever holds segMu.
	segMu     sync.Mutex
	segments  []*segment // oldest first; the last is written to
	spare     []string   // files to recycle
	nextEpoch uint64
	states    map[uint64]Record // latest KindState of each group
	compacted map[uint64]uint64 // group → entries up to here are not needed

	opened time.Time
	began  atomic.Int64 // of the write under way: nanoseconds since opened, 0 for none
	batch  uint64       // number of the last batch
	next   batch        // the writer's
}

type appendCall struct {
	records []Record
	before  func() error // work that must be durable before the records
	done    func()
}

// OpenLog opens the log in fs, and calls replay with each record that was synced, in
// order; Data is only valid during the call. Only a torn last batch is cut off:
// damage before it is an error that names the file and the offset.
func OpenLog(fs FS, opts LogOptions, replay func(*Record) error) (*Log, error) {
	if opts.SegmentBytes == 0 {
		opts.SegmentBytes = segmentBytesDefault
	}
	opts.SegmentBytes = max(opts.SegmentBytes, segmentBytesMin)
	if opts.SegmentsKept == 0 {
		opts.SegmentsKept = segmentsKeptDefault
	}
	l := &Log{
		fs: fs, opts: opts, done: make(chan struct{}),
		opened: time.Now(), states: map[uint64]Record{}, compacted: map[uint64]uint64{}, nextEpoch: 1,
	}
	l.wake.L = &l.mu
	if err := fs.MakeDir(logDir); err != nil {
		return nil, err
	}
	if err := l.recover(replay); err != nil {
		return nil, err
	}
	if err := l.rotate(); err != nil {
		return nil, err
	}
	go l.write()
	return l, nil
}

// Append queues records. done is called by the writer, in the order of the calls,
// after they are durable; never if the log fails. The log keeps the records' Data
// until then. before, if not nil, runs first and is part of it (a snapshot file that
// a reset record refers to).
func (l *Log) Append(records []Record, before func() error, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.pending = append(l.pending, appendCall{records, before, done})
	if len(l.pending) == 1 {
		l.wake.Signal()
	}
}

// Close writes what is queued and closes the files.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.done
	l.segMu.Lock()
	defer l.segMu.Unlock()
	var err error
	for _, s := range l.segments {
		err = errors.Join(err, s.close())
	}
	l.segments = nil
	return err
}

// Waiting returns for how long the oldest write has been waiting for the disk, 0 if there
// is none.
func (l *Log) Waiting() time.Duration {
	began := l.began.Load()
	if began == 0 {
		return 0
	}
	return time.Since(l.opened) - time.Duration(began)
}

func (l *Log) write() {
	defer close(l.done)
	var calls []appendCall
	for {
		l.mu.Lock()
		for len(l.pending) == 0 && !l.closed {
			l.wake.Wait()
		}
		if len(l.pending) == 0 {
			l.mu.Unlock()
			return
		}
		calls, l.pending = l.pending, calls[:0]
		l.mu.Unlock()
		if err := l.writeAll(calls); err != nil {
			l.mu.Lock()
			l.closed = true
			l.pending = nil
			l.mu.Unlock()
			if l.opts.Failed != nil {
				l.opts.Failed(fmt.Errorf("write-ahead log: %w", err))
			}
			return
		}
		clear(calls)
	}
}

// writeAll makes calls durable, in batches of at most about batchBytesMax.
func (l *Log) writeAll(calls []appendCall) error {
	defer l.began.Store(0)
	for len(calls) > 0 {
		l.began.Store(int64(time.Since(l.opened)))
		n := 0
		l.next.begin()
		for n < len(calls) && (n == 0 || l.next.size < batchBytesMax) {
			c := &calls[n]
			if c.before != nil {
				if err := c.before(); err != nil {
					return err
				}
			}
			for i := range c.records {
				l.next.add(&c.records[i])
			}
			n++
		}
		if err := l.writeBatch(calls[:n]); err != nil {
			return err
		}
		if l.opts.Synced != nil {
			l.opts.Synced(time.Since(l.opened) - time.Duration(l.began.Load()))
		}
		for i := range calls[:n] {
			if calls[i].done != nil {
				calls[i].done()
			}
		}
		calls = calls[n:]
	}
	l.next.begin() // the data is not the log's any more
	if cap(l.next.buf) > batchBytesMax {
		l.next.buf = nil
	}
	return nil
}

func (l *Log) writeBatch(calls []appendCall) error {
	if l.next.empty() {
		return nil
	}
	l.segMu.Lock()
	defer l.segMu.Unlock()
	s := l.segments[len(l.segments)-1]
	need := int64(l.next.size) + batchAlignBytes
	if s.offset+need > l.opts.SegmentBytes && s.offset > 0 {
		if err := l.rotateLocked(); err != nil {
			return err
		}
		s = l.segments[len(l.segments)-1]
	}
	if err := l.grow(s, s.offset+need); err != nil {
		return err
	}
	for _, c := range calls {
		for i := range c.records {
			l.note(s, &c.records[i])
		}
	}
	l.batch++
	l.next.seal(s.epoch, l.batch)
	return s.write(&l.next, !l.opts.NoSync)
}

// note remembers what record r in segment s pins.
func (l *Log) note(s *segment, r *Record) {
	switch r.Kind {
	case KindState:
		kept := *r
		kept.Data = append([]byte(nil), r.Data...)
		l.states[r.Group] = kept
	case KindEntry, KindReset:
		if _, seen := s.last[r.Group]; !seen || r.Index > s.last[r.Group] {
			s.last[r.Group] = r.Index
		}
	case KindDrop:
		delete(l.states, r.Group)
		delete(l.compacted, r.Group)
		for _, s := range l.segments {
			delete(s.last, r.Group)
		}
	}
}
