package storage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A segment is one file of the log, wal/<epoch>.log, preallocated with zeros so that
// a sync need not write file metadata, and recycled under a new epoch when nothing
// in it is needed any more.
type segment struct {
	name   string
	epoch  uint64
	file   File
	length int64
	offset int64
	last   map[uint64]uint64 // group → highest index in here
}

const (
	segmentSuffix = ".log"
	spareSuffix   = ".spare"
)

func segmentName(epoch uint64) string {
	return fmt.Sprintf("%s/%016d%s", logDir, epoch, segmentSuffix)
}

func parseSegmentName(base string) (epoch uint64, ok bool) {
	digits, ok := strings.CutSuffix(base, segmentSuffix)
	if !ok {
		return 0, false
	}
	epoch, err := strconv.ParseUint(digits, 10, 64)
	return epoch, err == nil
}

func (s *segment) write(b *batch, sync bool) error {
	err := b.pieces(0, func(piece []byte) error {
		n, err := s.file.WriteAt(piece, s.offset)
		s.offset += int64(n)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s at offset %d: %w", s.name, s.offset, err)
	}
	if !sync {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("%s: sync: %w", s.name, err)
	}
	return nil
}

func (s *segment) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

// rotate starts a new segment, which begins with the latest state of every group.
func (l *Log) rotate() error {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	return l.rotateLocked()
}

func (l *Log) rotateLocked() error {
	s, err := l.createSegment()
	if err != nil {
		return err
	}
	if n := len(l.segments); n > 0 {
		if err := l.segments[n-1].close(); err != nil {
			return err
		}
	}
	l.segments = append(l.segments, s)
	if len(l.states) > 0 {
		var b batch
		b.begin()
		for _, group := range slices.Sorted(maps.Keys(l.states)) {
			r := l.states[group]
			b.add(&r)
		}
		l.batch++
		b.seal(s.epoch, l.batch)
		if err := s.write(&b, !l.opts.NoSync); err != nil {
			return err
		}
	}
	return l.reclaim()
}

func (l *Log) createSegment() (*segment, error) {
	s := &segment{epoch: l.nextEpoch, name: segmentName(l.nextEpoch), last: map[uint64]uint64{}}
	l.nextEpoch++
	if n := len(l.spare); n > 0 {
		if err := l.fs.Rename(l.spare[n-1], s.name); err != nil {
			return nil, err
		}
		l.spare = l.spare[:n-1]
	}
	f, err := l.fs.Open(s.name, true)
	if err != nil {
		return nil, err
	}
	s.file = f
	if s.length, err = f.Size(); err != nil {
		return nil, err
	}
	if err := l.grow(s, 1); err != nil {
		return nil, err
	}
	return s, l.fs.SyncDir(logDir)
}

// grow preallocates so that a segment holds at least want bytes. A new file grows in
// steps: written whole, it would keep the disk from all others for a moment, just when
// a node comes back.
func (l *Log) grow(s *segment, want int64) error {
	if s.length >= want {
		return nil
	}
	steps := (want + segmentStepBytes - 1) / segmentStepBytes
	to := max(want, min(steps*segmentStepBytes, l.opts.SegmentBytes))
	if err := fillZeros(s.file, s.length, to); err != nil {
		return fmt.Errorf("%s: preallocate %d bytes: %w", s.name, to, err)
	}
	s.length = to
	return nil
}

func fillZeros(f File, from, to int64) error {
	zeros := make([]byte, min(1<<20, to-from))
	for from < to {
		n := min(int64(len(zeros)), to-from)
		if _, err := f.WriteAt(zeros[:n], from); err != nil {
			return err
		}
		from += n
	}
	return f.Sync()
}

// Compact says that the entries of group up to index are in a durable snapshot.
func (l *Log) Compact(group, index uint64) error {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	if index <= l.compacted[group] {
		return nil
	}
	l.compacted[group] = index
	return l.reclaim()
}

// Drop says that group is gone from this node, with its state, and waits until that is
// durable. Its owner appends nothing of the group beside it; afterwards the group may
// begin anew.
func (l *Log) Drop(group uint64) error {
	done := make(chan struct{})
	l.Append([]Record{{Kind: KindDrop, Group: group}}, nil, func() { close(done) })
	select {
	case <-done:
	case <-l.done:
		select {
		case <-done:
		default:
			return fmt.Errorf("group %d not dropped: %w", group, ErrClosed)
		}
	}
	l.segMu.Lock()
	defer l.segMu.Unlock()
	return l.reclaim()
}

// ErrClosed says that the log is closed, or has failed.
var ErrClosed = errors.New("write-ahead log is closed")

// reclaim frees the oldest segments that nothing needs, and asks for snapshots if
// too many are left.
func (l *Log) reclaim() error {
	for len(l.segments) > 1 {
		if len(l.pinning(l.segments[0])) > 0 {
			break
		}
		s := l.segments[0]
		l.segments = l.segments[1:]
		if err := errors.Join(s.close(), l.retire(s)); err != nil {
			return err
		}
	}
	if len(l.segments) > l.opts.SegmentsKept && l.opts.Pressure != nil {
		l.opts.Pressure(l.pinning(l.segments[0]))
	}
	return nil
}

func (l *Log) retire(s *segment) error {
	if len(l.spare) < spareSegmentsMax && s.length <= l.opts.SegmentBytes {
		spare := s.name + spareSuffix
		l.spare = append(l.spare, spare)
		return l.fs.Rename(s.name, spare)
	}
	return l.fs.Remove(s.name)
}

func (l *Log) pinning(s *segment) []uint64 {
	var groups []uint64
	for g, last := range s.last {
		if last > l.compacted[g] {
			groups = append(groups, g)
		}
	}
	return groups
}
