package sim

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// disk is a machine's.
type disk struct {
	mem     *storage.MemFS
	full    bool          // nothing more can be written
	failing int           // that many syncs fail; what they should have made durable never is
	slow    time.Duration // more, for each sync
	stalled bool          // no sync ends
	waiting []func()      // those that would have
}

func newDisk() *disk { return &disk{mem: storage.NewMemFS()} }

// How long a sync takes.
const (
	syncMin = 100 * time.Microsecond
	syncMax = 2 * time.Millisecond
)

// sync ends a sync after a while, and tells the process: ticket u64 | error number u64.
func (p *process) sync(ticket uint64, finish func() error) {
	w, d := p.w, p.m.disk
	w.counts.Syncs++
	end := func() {
		if p.done {
			return
		}
		code := errno(0)
		if d.failing > 0 {
			d.failing--
			code = errIO
		} else {
			code = errnoOf(finish())
		}
		b := binary.LittleEndian.AppendUint64(nil, ticket)
		p.finished.receive(binary.LittleEndian.AppendUint64(b, uint64(code)))
	}
	w.after(between(w.chance, syncMin, syncMax)+d.slow, func() {
		if d.stalled {
			d.waiting = append(d.waiting, end)
			return
		}
		end()
	})
}

// goOn ends a stall.
func (d *disk) goOn() {
	d.stalled = false
	for _, end := range d.waiting {
		end()
	}
	d.waiting = nil
}

// errnoOf is a failure of the file system as a process sees it.
func errnoOf(err error) errno {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, os.ErrNotExist):
		return errNoEntry
	}
	return errIO
}
