package storage

import (
	"fmt"
	"strings"
)

// recover replays the segments on disk, oldest first.
func (l *Log) recover(replay func(*Record) error) error {
	names, err := l.fs.List(logDir)
	if err != nil {
		return err
	}
	for _, base := range names {
		epoch, ok := parseSegmentName(base)
		if !ok {
			if err := l.keepSpare(base); err != nil {
				return err
			}
			continue
		}
		l.segments = append(l.segments, &segment{name: logDir + "/" + base, epoch: epoch, last: map[uint64]uint64{}})
		l.nextEpoch = epoch + 1
	}
	for i, s := range l.segments {
		if err := l.replaySegment(s, i == len(l.segments)-1, replay); err != nil {
			return err
		}
	}
	return nil
}

// keepSpare takes a file left to be recycled, or removes it if there are enough.
func (l *Log) keepSpare(base string) error {
	name := logDir + "/" + base
	switch {
	case !strings.HasSuffix(base, spareSuffix):
		return nil
	case len(l.spare) < spareSegmentsMax:
		l.spare = append(l.spare, name)
		return nil
	}
	return l.fs.Remove(name)
}

func (l *Log) replaySegment(s *segment, last bool, replay func(*Record) error) error {
	f, err := l.fs.Open(s.name, false)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	s.length = size
	w := window{f: f, size: size}
	at := int64(0)
	for {
		number, body, n, ok, err := w.batch(at, s.epoch)
		if err != nil {
			return fmt.Errorf("%s: read at offset %d: %w", s.name, at, err)
		}
		if !ok {
			version, err := w.foreign(at, s.epoch)
			if err == nil && version != 0 {
				err = fmt.Errorf("the log has format version %d, this broker reads version %d", version, logVersion)
			}
			if err != nil {
				return fmt.Errorf("%s at offset %d: %w", s.name, at, err)
			}
			break
		}
		if l.batch != 0 && number != l.batch+1 {
			return fmt.Errorf("%s at offset %d: batch %d follows batch %d: batches in between are missing", s.name, at, number, l.batch)
		}
		l.batch = number
		err = eachRecord(body, func(r *Record) error {
			l.note(s, r)
			return replay(r)
		})
		if err != nil {
			return fmt.Errorf("%s at offset %d: %w", s.name, at, err)
		}
		at += int64(n)
	}
	s.offset = at
	// Each batch was written after the one before it was durable, so only the very
	// last can be torn. A whole batch behind a damaged one means lost data.
	switch later, found, err := w.find(at, s.epoch); {
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case found:
		return fmt.Errorf("%s is damaged at offset %d: an intact batch follows at offset %d", s.name, at, later)
	}
	if !last || l.opts.NoSync {
		return nil
	}
	// A process that was killed leaves batches that it wrote and did not sync. They are
	// replayed, so from now on they count as durable.
	if err := f.Sync(); err != nil {
		return fmt.Errorf("%s: sync: %w", s.name, err)
	}
	return nil
}
