package queue

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// failer is what a test and a property have in common.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// disk keeps run files of one member in memory.
type disk struct {
	runs map[uint64][]byte
	last uint64
}

func newDisk() *disk { return &disk{runs: map[uint64][]byte{}} }

func (d *disk) block(_, _ uint64, r Ref) ([]byte, error) { return d.read(r) }

func (d *disk) read(r Ref) ([]byte, error) {
	f := d.runs[r.Run]
	if r.Offset+int64(r.Length) > int64(len(f)) {
		return nil, fmt.Errorf("block %+v in a run of %d bytes", r, len(f))
	}
	return bytes.Clone(f[r.Offset : r.Offset+int64(r.Length)]), nil
}

func (d *disk) add(t failer, im *Image, id uint64, read func(queue, base uint64, r Ref) ([]byte, error)) {
	var w bytes.Buffer
	if err := im.WriteRun(id, &w, read); err != nil {
		t.Fatal(err)
	}
	d.last++
	d.runs[d.last] = w.Bytes()
}

// begin takes a shard's image and writes it down; the result ends the checkpoint and
// returns the manifest.
func (d *disk) begin(t failer, s *Shard) func() []byte {
	im := s.Image(false)
	if im.Writes() {
		d.add(t, im, d.last+1, d.block)
	}
	manifest := im.Manifest()
	return func() []byte {
		gone, _ := s.Backed(im)
		for _, id := range gone {
			delete(d.runs, id)
		}
		return manifest
	}
}

func (d *disk) checkpoint(t failer, s *Shard) []byte { return d.begin(t, s)() }

// restore brings all of from, whose disk is there, to s, whose disk is d.
func (d *disk) restore(t failer, s, from *Shard, there *disk) {
	im := from.Image(true)
	if im.Writes() {
		d.add(t, im, 0, there.block)
	}
	before, err := s.Restore(im.Manifest(), d.last)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range before {
		delete(d.runs, id)
	}
}

// load brings what a dispatch asked for.
func (d *disk) load(t failer, q *Queue, bases []uint64) {
	for _, base := range bases {
		ref, ok := q.Block(base)
		if !ok {
			q.NotLoaded(base)
			continue
		}
		b, err := d.read(ref)
		if err == nil {
			err = q.Load(base, b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// raws returns a queue's messages, wherever they are.
func (d *disk) raws(t failer, q *Queue) map[uint64][]byte {
	all := map[uint64][]byte{}
	q.slots.eachChunk(func(base uint64, c *chunk) {
		onDisk := map[int][]byte{}
		if c.ref.Run != 0 {
			b, err := d.read(c.ref)
			if err == nil {
				err = eachInBlock(b, q.ID, base, func(i int, raw []byte) { onDisk[i] = raw })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range chunkSlots {
			switch {
			case c.hot == nil && c.cold.has(i):
				all[base+uint64(i)] = onDisk[i]
			case c.hot != nil && c.hot[i].live:
				if all[base+uint64(i)] = c.hot[i].raw; c.hot[i].raw == nil {
					all[base+uint64(i)] = onDisk[i]
				}
			}
		}
	})
	return all
}

// dump writes down all that members must agree on.
func (d *disk) dump(t failer, s *Shard) string {
	var b bytes.Buffer
	for _, r := range slices.Sorted(maps.Keys(s.lanes)) {
		fmt.Fprintf(&b, "lane %d %+v\n", r, s.lanes[r])
	}
	for _, id := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[id]
		fmt.Fprintf(&b, "queue %d %+v next %d mark %d sealed %v importing %v kept %x\n", id, q.Config, q.next, q.mark, q.sealed, q.importing, q.kept)
		raws := d.raws(t, q)
		q.slots.eachChunk(func(base uint64, c *chunk) {
			k := c.cold
			if k == nil {
				k = freeze(c.hot)
			}
			for i := range chunkSlots {
				if k.has(i) {
					fmt.Fprintf(&b, " %d %+v %x\n", base+uint64(i), meta(k.slot(i)), raws[base+uint64(i)])
				}
			}
		})
	}
	return b.String()
}

// books checks the accounts against what is there.
func books(t failer, s *Shard) {
	var resident, unbacked int64
	live := map[uint64]int{}
	for _, q := range s.queues {
		n, size := 0, int64(0)
		q.slots.eachChunk(func(base uint64, c *chunk) {
			count := 0
			for i := range chunkSlots {
				var sl slot
				if c.hot != nil {
					sl = c.hot[i]
				} else if c.cold.has(i) {
					sl = c.cold.slot(i)
				}
				if !sl.live {
					continue
				}
				count++
				size += int64(sl.size)
				resident += int64(len(sl.raw))
				if i < int(c.backed) {
					live[c.ref.Run]++
				} else {
					unbacked += int64(len(sl.raw))
				}
			}
			if count == 0 || count != c.live {
				t.Fatalf("chunk at %d has %d messages, counted as %d", base, count, c.live)
			}
			n += count
		})
		if n != q.slots.live || size != q.slots.bytes {
			t.Fatalf("%d messages of %d bytes, counted as %d of %d", n, size, q.slots.live, q.slots.bytes)
		}
	}
	if resident != s.acct.resident || unbacked != s.acct.unbacked {
		t.Fatalf("%d bytes in memory, %d there only; counted as %d and %d", resident, unbacked, s.acct.resident, s.acct.unbacked)
	}
	for id, r := range s.acct.runs {
		if r.live != live[id] {
			t.Fatalf("run %d has %d messages, counted as %d", id, live[id], r.live)
		}
	}
}

// meta is what members must agree on of a slot.
func meta(sl slot) string {
	return fmt.Sprint(sl.expires, sl.size, sl.returns, sl.acquired, sl.discard, sl.level)
}

// view calls fn with a queue's messages and leaves them as cold as they are.
func view(q *Queue, fn func(seq uint64, sl *slot, c *chunk)) {
	q.slots.eachChunk(func(base uint64, c *chunk) {
		for i := range chunkSlots {
			var sl slot
			switch {
			case c.hot != nil:
				sl = c.hot[i]
			case c.cold.has(i):
				if sl = c.cold.slot(i); c.hidden {
					sl.holder = holderLeader
				}
			}
			if sl.live {
				fn(base+uint64(i), &sl, c)
			}
		}
	})
}
