package queue

// Ref says where on disk a chunk's messages are: a block of a run file.
type Ref struct {
	Run    uint64 // 0: nowhere
	Offset int64
	Length uint32
}

// run is a run file as far as the shard refers to it.
type run struct {
	live  int   // messages that are there and in their queue
	total int   // messages that are there
	bytes int64 // of the file
}

// account is what a shard's messages take of memory and disk.
type account struct {
	resident int64 // bytes of messages in memory
	unbacked int64 // of those, what is in memory only
	runs     map[uint64]*run
}

// hold notes that n more messages are at ref.
func (a *account) hold(ref Ref, n int) {
	if ref.Run == 0 {
		return
	}
	r := a.runs[ref.Run]
	if r == nil {
		r = &run{}
		a.runs[ref.Run] = r
	}
	r.live += n
}

// release notes that n messages at ref are gone, or are elsewhere now.
func (a *account) release(ref Ref, n int) {
	if r := a.runs[ref.Run]; r != nil {
		r.live -= n
	}
}
