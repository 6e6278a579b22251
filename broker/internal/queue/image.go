package queue

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
)

// A shard's state on disk is a manifest, which is small, and run files with the messages.
// A run is written once: blocks, each with a chunk's messages as they were then. The
// manifest says of every chunk which messages are left, and in which block they are.
//
// A block, little-endian; the checksum (CRC-32C) covers all behind itself:
//
//	checksum u32 | length of what follows u32 | queue u64 | base u64 | messages u32 |
//	(place u8 | length u32 | message)…
//
// A manifest:
//
//	version u8 | lanes u32 |
//	(replica u64 | incarnation u64 | last u64 | refused u32 | number u64…)… |
//	runs u32 | (id u64 | messages u32 | bytes u64)… | queues u32 | queue…
//	queue: id u64 | configuration | next u64 | mark u64 | flags u8 (1 sealed, 2 importing) |
//	kept u32 | (length u32 | command)… | chunks u32 | chunk…
//	chunk: base u64 | places taken u64 ×2 | filled u8 | run u64 | offset u64 | length u32 |
//	shape u8 (1 sizes, 2 expiries, 4 priorities differ) | size u32, or one for each message |
//	expiry i64 for each | priority u8, or one for each | histories u8 |
//	(place u8 | returns u32 | acquired u32 | discard u8)…
const (
	shapeSizes   = 1
	shapeExpires = 2
	shapeLevels  = 4

	flagSealed    = 1
	flagImporting = 2

	blockHeadBytes = 4 + 4 + 8 + 8 + 4
	chunkHeadBytes = 8 + 16 + 1 + 8 + 8 + 4 + 1
	moreBytes      = 1 + 4 + 4 + 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Image is a shard's state as it was at one moment, for whoever writes it down beside
// what the shard goes on to do.
type Image struct {
	shard  *Shard
	state  *account // tells this state from one that has replaced it
	lanes  map[uint64]lane
	runs   map[uint64]run
	queues []queueImage
	writes []*chunkImage
	blocks int // of writes, before WriteRun leaves some out
}

type queueImage struct {
	id         uint64
	config     Config
	next, mark uint64
	flags      byte
	kept       [][]byte
	chunks     []*chunkImage
}

type chunkImage struct {
	chunk  *chunk
	queue  *Queue
	base   uint64
	cold   *cold
	filled uint8
	ref    Ref
	raws   *[chunkSlots][]byte // of a chunk to be written: what is in memory
	merged bool                // it is written only to get rid of the rest of its run
	whole  bool                // all of it must be written
}

// mergeBelow is the share of a run's messages that must be left, or the rest is written
// anew: one in mergeBelow.
const mergeBelow = 2

// Image takes the state as of now. What WriteRun writes is what no run has yet, and what
// is left of runs that are mostly gone; with whole it is everything.
func (s *Shard) Image(whole bool) *Image {
	im := &Image{shard: s, state: s.acct, lanes: maps.Clone(s.lanes), runs: map[uint64]run{}}
	for id, r := range s.acct.runs {
		im.runs[id] = *r
	}
	for _, id := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[id]
		c := queueImage{id: q.ID, config: q.Config, next: q.next, mark: q.mark, kept: q.kept[:len(q.kept):len(q.kept)]}
		if q.sealed {
			c.flags |= flagSealed
		}
		if q.importing {
			c.flags |= flagImporting
		}
		c.chunks = make([]*chunkImage, 0, len(q.slots.chunks))
		q.slots.eachChunk(func(base uint64, k *chunk) { c.chunks = append(c.chunks, im.take(q, base, k, whole)) })
		im.queues = append(im.queues, c)
	}
	return im
}

func (im *Image) take(q *Queue, base uint64, k *chunk, whole bool) *chunkImage {
	c := &chunkImage{chunk: k, queue: q, base: base, cold: k.cold, filled: k.filled, ref: k.ref}
	if k.hot != nil {
		c.cold = freeze(k.hot)
	}
	r := im.runs[k.ref.Run]
	if !whole && k.backed >= k.filled && r.live*mergeBelow >= r.total {
		return c
	}
	c.raws = new([chunkSlots][]byte)
	c.merged, c.whole = k.backed >= k.filled, whole
	if k.hot != nil {
		for i := range k.hot {
			c.raws[i] = k.hot[i].raw
		}
	}
	im.writes = append(im.writes, c)
	im.blocks++
	return c
}

// ImageOfChunk takes of one chunk all that is there: WriteRun writes its block.
func (s *Shard) ImageOfChunk(queue, base uint64) *Image {
	im := &Image{shard: s, state: s.acct, runs: map[uint64]run{}}
	if q := s.queues[queue]; q != nil {
		if k, _ := q.slots.place(base); k != nil {
			im.take(q, base, k, true)
		}
	}
	return im
}

// Blocks returns how many blocks WriteRun writes, each with one call of its writer, at most.
func (im *Image) Blocks() int { return im.blocks }

// Writes reports whether there is anything for WriteRun to write.
func (im *Image) Writes() bool { return len(im.writes) > 0 }

// WriteRun writes run id. read returns the block of a queue's chunk from an earlier run.
// Unless the image is whole, a block that can't be read is no error: a chunk that is all in
// it stays there, and of another one what is in memory is written. Load finds what is
// missing, if it is still wanted by then.
func (im *Image) WriteRun(id uint64, w io.Writer, read func(queue, base uint64, ref Ref) ([]byte, error)) error {
	var at int64
	var b []byte
	total := 0
	written := im.writes[:0]
	for _, c := range im.writes {
		if err := c.fill(read); err != nil {
			if c.whole {
				return err
			}
			if c.merged {
				c.raws = nil
				continue
			}
		}
		written = append(written, c)
		b = c.appendBlock(b[:0])
		if _, err := w.Write(b); err != nil {
			return err
		}
		c.ref = Ref{Run: id, Offset: at, Length: uint32(len(b))}
		c.raws = nil
		at += int64(len(b))
		total += c.cold.count()
	}
	im.writes = written
	im.runs[id] = run{total: total, live: total, bytes: at}
	return nil
}

// fill reads what of the chunk's messages is not in memory.
func (c *chunkImage) fill(read func(queue, base uint64, ref Ref) ([]byte, error)) error {
	missing := false
	for i := range c.raws {
		missing = missing || c.cold.has(i) && c.raws[i] == nil
	}
	if !missing {
		return nil
	}
	b, err := read(c.queue.ID, c.base, c.ref)
	if err != nil {
		return err
	}
	if err := eachInBlock(b, c.queue.ID, c.base, func(i int, raw []byte) {
		if c.raws[i] == nil {
			c.raws[i] = raw
		}
	}); err != nil {
		return err
	}
	for i := range c.raws {
		if c.cold.has(i) && c.raws[i] == nil {
			return fmt.Errorf("message %d of queue %d is not in its block", c.base+uint64(i), c.queue.ID)
		}
	}
	return nil
}

func (c *chunkImage) appendBlock(b []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint64(b, c.queue.ID)
	b = binary.LittleEndian.AppendUint64(b, c.base)
	b = binary.LittleEndian.AppendUint32(b, 0)
	n := uint32(0)
	for i, raw := range c.raws {
		if c.cold.has(i) && raw != nil {
			n++
			b = append(b, byte(i))
			b = binary.LittleEndian.AppendUint32(b, uint32(len(raw)))
			b = append(b, raw...)
		}
	}
	binary.LittleEndian.PutUint32(b[at+24:], n)
	binary.LittleEndian.PutUint32(b[at+4:], uint32(len(b)-at-8))
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// CheckBlock says what is wrong with the block of a queue's chunk.
func CheckBlock(b []byte, queue, base uint64) error {
	return eachInBlock(b, queue, base, func(int, []byte) {})
}

// eachInBlock calls fn with a block's messages by place; they alias b.
func eachInBlock(b []byte, queue, base uint64, fn func(place int, raw []byte)) error {
	if len(b) < blockHeadBytes || int(binary.LittleEndian.Uint32(b[4:])) != len(b)-8 ||
		crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
		return fmt.Errorf("block of %d bytes: checksum does not match", len(b))
	}
	if id, at := binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]); id != queue || at != base {
		return fmt.Errorf("block of queue %d, messages from %d, instead of queue %d, messages from %d", id, at, queue, base)
	}
	n := int(binary.LittleEndian.Uint32(b[24:]))
	for b = b[blockHeadBytes:]; n > 0; n-- {
		if len(b) < 5 || int(b[0]) >= chunkSlots || int(binary.LittleEndian.Uint32(b[1:])) > len(b)-5 {
			return errCommand
		}
		end := 5 + int(binary.LittleEndian.Uint32(b[1:]))
		fn(int(b[0]), b[5:end:end])
		b = b[end:]
	}
	return nil
}

// Manifest encodes the state; WriteRun comes first, if there is anything to write.
func (im *Image) Manifest() []byte {
	b := []byte{formatVersion}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(im.lanes)))
	for _, replica := range slices.Sorted(maps.Keys(im.lanes)) {
		l := im.lanes[replica]
		b = binary.LittleEndian.AppendUint64(b, replica)
		b = binary.LittleEndian.AppendUint64(b, l.incarnation)
		b = binary.LittleEndian.AppendUint64(b, l.last)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(l.refused)))
		for _, n := range l.refused {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
	}
	used := im.Runs()
	b = binary.LittleEndian.AppendUint32(b, uint32(len(used)))
	for _, id := range used {
		b = binary.LittleEndian.AppendUint64(b, id)
		b = binary.LittleEndian.AppendUint32(b, uint32(im.runs[id].total))
		b = binary.LittleEndian.AppendUint64(b, uint64(im.runs[id].bytes))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(im.queues)))
	for i := range im.queues {
		b = im.queues[i].append(b)
	}
	return b
}

// Runs returns the runs that the manifest refers to, sorted.
func (im *Image) Runs() []uint64 {
	used := map[uint64]bool{}
	for i := range im.queues {
		for _, c := range im.queues[i].chunks {
			used[c.ref.Run] = true
		}
	}
	return slices.Sorted(maps.Keys(used))
}

func (q *queueImage) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, q.id)
	b = q.config.append(b)
	b = binary.LittleEndian.AppendUint64(b, q.next)
	b = binary.LittleEndian.AppendUint64(b, q.mark)
	b = append(b, q.flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(q.kept)))
	for _, k := range q.kept {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(k)))
		b = append(b, k...)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(q.chunks)))
	for _, c := range q.chunks {
		b = c.append(b)
	}
	return b
}

func (c *chunkImage) append(b []byte) []byte {
	k := c.cold
	b = binary.LittleEndian.AppendUint64(b, c.base)
	b = binary.LittleEndian.AppendUint64(b, k.bits[0])
	b = binary.LittleEndian.AppendUint64(b, k.bits[1])
	b = append(b, c.filled)
	b = binary.LittleEndian.AppendUint64(b, c.ref.Run)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.ref.Offset))
	b = binary.LittleEndian.AppendUint32(b, c.ref.Length)
	var shape byte
	if k.sizes != nil {
		shape |= shapeSizes
	}
	if k.expires != nil {
		shape |= shapeExpires
	}
	if k.levels != nil {
		shape |= shapeLevels
	}
	b = append(b, shape)
	if k.sizes == nil {
		b = binary.LittleEndian.AppendUint32(b, k.size)
	}
	if k.levels == nil {
		b = append(b, k.level)
	}
	for i := range chunkSlots {
		if !k.has(i) {
			continue
		}
		if k.sizes != nil {
			b = binary.LittleEndian.AppendUint32(b, k.sizes[i])
		}
		if k.expires != nil {
			b = binary.LittleEndian.AppendUint64(b, uint64(k.expires[i]))
		}
		if k.levels != nil {
			b = append(b, k.levels[i])
		}
	}
	b = append(b, byte(len(k.more)))
	for _, i := range slices.Sorted(maps.Keys(k.more)) {
		m := k.more[i]
		b = append(b, i)
		b = binary.LittleEndian.AppendUint32(b, m.returns)
		b = binary.LittleEndian.AppendUint32(b, m.acquired)
		b = append(b, byte(m.discard))
	}
	return b
}

// Backed says that an image is durable: what it has written need not be in memory any
// more. It returns the runs that nothing refers to now, which it forgets. stale is true if
// the state was replaced meanwhile: then the run that the image has written is one of them.
func (s *Shard) Backed(im *Image) (gone []uint64, stale bool) {
	if im.state != s.acct {
		return nil, true
	}
	for id, r := range im.runs {
		if s.acct.runs[id] == nil {
			s.acct.runs[id] = &run{total: r.total, bytes: r.bytes}
		}
	}
	queues := map[*Queue]bool{}
	for _, c := range im.writes {
		// A chunk that was removed meanwhile has no messages left.
		if c.chunk.live > 0 && !c.queue.dropped && s.queues[c.queue.ID] == c.queue {
			if k, _ := c.queue.slots.place(c.base); k == c.chunk {
				c.queue.slots.backUp(k, c.ref, c.filled)
				queues[c.queue] = true
			}
		}
	}
	for q := range queues {
		q.coolDown()
	}
	named := im.Runs()
	for id, r := range s.acct.runs {
		if _, inManifest := slices.BinarySearch(named, id); r.live <= 0 && !inManifest {
			gone = append(gone, id)
			delete(s.acct.runs, id)
		}
	}
	slices.Sort(gone)
	return gone, false
}

// Unused returns those of runs that the state does not refer to.
func (s *Shard) Unused(runs []uint64) []uint64 {
	return slices.DeleteFunc(slices.Clone(runs), func(id uint64) bool { return s.acct.runs[id] != nil })
}

// Runs returns the runs that the state refers to, sorted.
func (s *Shard) Runs() []uint64 { return slices.Sorted(maps.Keys(s.acct.runs)) }

// Garbage reports whether a run has no message left, so that an image would free it.
func (s *Shard) Garbage() bool {
	for _, r := range s.acct.runs {
		if r.live <= 0 {
			return true
		}
	}
	return false
}

// Memory returns the bytes of messages in memory, and of those the ones that are not on
// disk but in the log.
func (s *Shard) Memory() (resident, unbacked int64) { return s.acct.resident, s.acct.unbacked }

// Restore replaces the state by a manifest's. own is the number here of the run that came
// with it, if it came from another member, where that was 0. Leadership ends. It returns
// the runs that the state had before.
func (s *Shard) Restore(b []byte, own uint64) (before []uint64, err error) {
	if len(b) < 5 || b[0] != formatVersion {
		return nil, fmt.Errorf("manifest of format %v, this version reads %d", b[:min(1, len(b))], formatVersion)
	}
	fresh := NewShard()
	n := int(binary.LittleEndian.Uint32(b[1:]))
	b = b[5:]
	for ; n > 0; n-- {
		if b, err = fresh.restoreLane(b); err != nil {
			return nil, err
		}
	}
	if b, err = fresh.restoreRuns(b, own); err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, errCommand
	}
	n = int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	for range n {
		if b, err = fresh.restoreQueue(s, b, own); err != nil {
			return nil, err
		}
	}
	for _, q := range s.queues {
		if fresh.queues[q.ID] == nil {
			q.dropped = true
		}
	}
	before = slices.Sorted(maps.Keys(s.acct.runs))
	*s = *fresh
	return before, nil
}

// laneFixedBytes is a lane without its refused numbers.
const laneFixedBytes = 8 + 8 + 8 + 4

func (s *Shard) restoreLane(b []byte) ([]byte, error) {
	if len(b) < laneFixedBytes {
		return nil, errCommand
	}
	l := lane{incarnation: binary.LittleEndian.Uint64(b[8:]), last: binary.LittleEndian.Uint64(b[16:])}
	n := int(binary.LittleEndian.Uint32(b[24:]))
	replica := binary.LittleEndian.Uint64(b)
	b = b[laneFixedBytes:]
	if n > len(b)/8 {
		return nil, errCommand
	}
	for ; n > 0; n, b = n-1, b[8:] {
		l.refused = append(l.refused, binary.LittleEndian.Uint64(b))
	}
	s.lanes[replica] = l
	return b, nil
}

func (s *Shard) restoreRuns(b []byte, own uint64) ([]byte, error) {
	const each = 8 + 4 + 8
	if len(b) < 4 {
		return nil, errCommand
	}
	n := int(binary.LittleEndian.Uint32(b))
	b = b[4:]
	if n > len(b)/each {
		return nil, errCommand
	}
	for ; n > 0; n, b = n-1, b[each:] {
		id := binary.LittleEndian.Uint64(b)
		if id == 0 {
			id = own
		}
		s.acct.runs[id] = &run{total: int(binary.LittleEndian.Uint32(b[8:])), bytes: int64(binary.LittleEndian.Uint64(b[12:]))}
	}
	return b, nil
}

func (s *Shard) restoreQueue(owner *Shard, b []byte, own uint64) ([]byte, error) {
	if len(b) < 8 {
		return nil, errCommand
	}
	q := owner.newQueue(binary.LittleEndian.Uint64(b), s.acct)
	var err error
	if q.Config, b, err = parseConfig(b[8:]); err != nil || len(b) < 21 {
		return nil, errCommand
	}
	if q.Config.refuses() {
		s.refusing++
	}
	q.next, q.mark = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	q.sealed, q.importing = b[16]&flagSealed != 0, b[16]&flagImporting != 0
	kept := int(binary.LittleEndian.Uint32(b[17:]))
	b = b[21:]
	for range kept {
		if len(b) < 4 || int(binary.LittleEndian.Uint32(b)) > len(b)-4 {
			return nil, errCommand
		}
		end := 4 + int(binary.LittleEndian.Uint32(b))
		q.kept = append(q.kept, b[4:end:end])
		b = b[end:]
	}
	if len(b) < 4 {
		return nil, errCommand
	}
	n := int(binary.LittleEndian.Uint32(b))
	for b = b[4:]; n > 0; n-- {
		if b, err = q.restoreChunk(b, own); err != nil {
			return nil, err
		}
	}
	s.queues[q.ID] = q
	return b, nil
}

func (q *Queue) restoreChunk(b []byte, own uint64) ([]byte, error) {
	if len(b) < chunkHeadBytes {
		return nil, errCommand
	}
	base := binary.LittleEndian.Uint64(b)
	k := &cold{bits: [2]uint64{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}}
	c := &chunk{cold: k, live: k.count(), filled: b[24], backed: b[24], ref: Ref{
		Run: binary.LittleEndian.Uint64(b[25:]), Offset: int64(binary.LittleEndian.Uint64(b[33:])), Length: binary.LittleEndian.Uint32(b[41:]),
	}}
	if c.ref.Run == 0 {
		c.ref.Run = own
	}
	shape := b[45]
	b = b[chunkHeadBytes:]
	r := cutter{b: b, ok: true}
	if shape&shapeSizes == 0 {
		k.size = binary.LittleEndian.Uint32(r.take(4))
	} else {
		k.sizes = new([chunkSlots]uint32)
	}
	if shape&shapeLevels == 0 {
		k.level = r.take(1)[0]
	} else {
		k.levels = new([chunkSlots]uint8)
	}
	if shape&shapeExpires != 0 {
		k.expires = new([chunkSlots]int64)
	}
	for i := range chunkSlots {
		if !k.has(i) {
			continue
		}
		if k.sizes != nil {
			k.sizes[i] = binary.LittleEndian.Uint32(r.take(4))
		}
		if k.expires != nil {
			k.expires[i] = int64(binary.LittleEndian.Uint64(r.take(8)))
		}
		if k.levels != nil {
			k.levels[i] = r.take(1)[0]
		}
		k.bytes += int64(k.slot(i).size)
	}
	for n := int(r.take(1)[0]); n > 0 && r.ok; n-- {
		m := r.take(moreBytes)
		if k.more == nil {
			k.more = map[uint8]more{}
		}
		k.more[m[0]] = more{binary.LittleEndian.Uint32(m[1:]), binary.LittleEndian.Uint32(m[5:]), Reason(m[9])}
	}
	if !r.ok || base%chunkSlots != 0 || c.live == 0 || base < q.slots.end() || base >= q.next {
		return nil, errCommand
	}
	q.slots.restore(base, c)
	return r.b, nil
}

// cutter cuts fields off an encoding; the first failure sticks.
type cutter struct {
	b  []byte
	ok bool
}

// take returns the next n bytes, zeros if there are not so many.
func (r *cutter) take(n int) []byte {
	if !r.ok || n > len(r.b) {
		r.ok = false
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// end returns the number behind the last chunk.
func (s *slots) end() uint64 { return s.base + uint64(len(s.chunks))*chunkSlots }

// restore adds a chunk behind all others.
func (s *slots) restore(base uint64, c *chunk) {
	if len(s.chunks) == 0 {
		s.base = base
	}
	for s.end() < base {
		s.chunks = append(s.chunks, nil)
	}
	s.chunks = append(s.chunks, c)
	s.live += c.live
	s.bytes += c.cold.bytes
	s.acct.hold(c.ref, c.live)
}
