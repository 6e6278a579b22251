package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"sync"
)

// MemFS is a file system in memory that knows what a power cut would leave of it: it
// keeps what was synced apart from what was not.
type MemFS struct {
	mu      sync.Mutex
	names   map[string]*memFile // as a running process sees them
	durable map[string]*memFile // as a crash leaves them
	dirs    map[string]bool
	life    int // grows with each crash; older handles are dead
}

var _ FS = (*MemFS)(nil)

// memFile is a file's content, whatever its name is at the moment.
type memFile struct {
	data   []byte
	synced []byte
	writes []memWrite // since the last sync
	first  int        // number of writes before them
}

type memWrite struct {
	at   int64
	data []byte
}

// Survival says what of the unsynced a crash leaves; of its zero value, nothing.
type Survival struct {
	// Bytes returns which part of the bytes written to a file since its last sync, in
	// the order of the writes, reached the disk: from ≤ to ≤ unsynced. A prefix is a
	// write torn in the middle, a suffix one whose sectors were written out of order.
	Bytes func(name string, unsynced int) (from, to int)
	// Names keeps creations, renames and removals that no SyncDir covers.
	Names bool
}

// NewMemFS returns an empty file system.
func NewMemFS() *MemFS {
	return &MemFS{names: map[string]*memFile{}, durable: map[string]*memFile{}, dirs: map[string]bool{}}
}

// Crash cuts the power: open files are dead, and only what was synced is left, plus
// what s lets survive.
func (m *MemFS) Crash(s Survival) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
	if s.Names {
		m.durable = clone(m.names)
	}
	for name, f := range m.durable {
		content := append([]byte(nil), f.synced...)
		if s.Bytes != nil {
			content = f.survive(content, name, s.Bytes)
		}
		m.durable[name] = &memFile{data: content, synced: append([]byte(nil), content...)}
	}
	m.names = clone(m.durable)
}

// Kill ends the process that has files open. What it wrote is in the system's cache: it
// can be read, and the next power cut still takes it.
func (m *MemFS) Kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.life++
}

func (f *memFile) survive(content []byte, name string, bytes func(string, int) (int, int)) []byte {
	total := 0
	for _, w := range f.writes {
		total += len(w.data)
	}
	if total == 0 {
		return content
	}
	from, to := bytes(name, total)
	at := 0
	for _, w := range f.writes {
		lo, hi := max(from-at, 0), min(to-at, len(w.data))
		if lo < hi {
			content = writeAt(content, w.data[lo:hi], w.at+int64(lo))
		}
		at += len(w.data)
	}
	return content
}

func clone(names map[string]*memFile) map[string]*memFile {
	c := make(map[string]*memFile, len(names))
	for n, f := range names {
		c[n] = f
	}
	return c
}

func writeAt(b, data []byte, at int64) []byte {
	if grow := at + int64(len(data)) - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[at:], data)
	return b
}

// Open implements FS.
func (m *MemFS) Open(name string, create bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil {
		if !create {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		if dir := path.Dir(name); dir != "." && !m.dirs[dir] {
			return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		f = &memFile{}
		m.names[name] = f
	}
	return &memHandle{fs: m, name: name, file: f, life: m.life}, nil
}

// Rename implements FS.
func (m *MemFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[from]
	if f == nil {
		return &os.PathError{Op: "rename", Path: from, Err: os.ErrNotExist}
	}
	delete(m.names, from)
	m.names[to] = f
	return nil
}

// Remove implements FS.
func (m *MemFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	delete(m.names, name)
	return nil
}

// List implements FS.
func (m *MemFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for n := range m.names {
		if path.Dir(n) == dir {
			names = append(names, path.Base(n))
		}
	}
	sort.Strings(names)
	return names, nil
}

// MakeDir implements FS.
func (m *MemFS) MakeDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs[dir] = true
	return nil
}

// SyncDir implements FS.
func (m *MemFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.durable {
		if path.Dir(n) == dir && m.names[n] == nil {
			delete(m.durable, n)
		}
	}
	for n, f := range m.names {
		if path.Dir(n) == dir {
			m.durable[n] = f
		}
	}
	return nil
}

// Lock implements FS: a process of its own is all that has it.
func (m *MemFS) Lock() (func() error, error) { return func() error { return nil }, nil }

// Corrupt changes a byte that was synced, as a bad disk does.
func (m *MemFS) Corrupt(name string, at int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil || at >= int64(len(f.data)) || at >= int64(len(f.synced)) {
		return fmt.Errorf("%s has no synced byte at offset %d", name, at)
	}
	f.data[at] ^= 0xff
	f.synced[at] ^= 0xff
	return nil
}

// SyncStarter is a file of MemFS.
type SyncStarter interface {
	BeginSync() (finish func() error, err error)
}

// memHandle is an open file.
type memHandle struct {
	fs   *MemFS
	name string
	file *memFile
	life int
}

var errCrashed = errors.New("the machine that opened this file is gone")

// lock takes the file system's lock; it fails for a handle from before a crash.
func (h *memHandle) lock() error {
	h.fs.mu.Lock()
	if h.life != h.fs.life {
		h.fs.mu.Unlock()
		return fmt.Errorf("%s: %w", h.name, errCrashed)
	}
	return nil
}

func (h *memHandle) ReadAt(b []byte, at int64) (int, error) {
	if err := h.lock(); err != nil {
		return 0, err
	}
	defer h.fs.mu.Unlock()
	if at >= int64(len(h.file.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.file.data[at:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(b []byte, at int64) (int, error) {
	if err := h.lock(); err != nil {
		return 0, err
	}
	defer h.fs.mu.Unlock()
	f := h.file
	f.data = writeAt(f.data, b, at)
	f.writes = append(f.writes, memWrite{at, append([]byte(nil), b...)})
	return len(b), nil
}

func (h *memHandle) Sync() error {
	finish, err := h.BeginSync()
	if err != nil {
		return err
	}
	return finish()
}

// BeginSync starts a sync of what was written so far, which ends with finish. Until then
// a crash may take it.
func (h *memHandle) BeginSync() (finish func() error, err error) {
	if err := h.lock(); err != nil {
		return nil, err
	}
	defer h.fs.mu.Unlock()
	f := h.file
	end := f.first + len(f.writes)
	return func() error {
		if err := h.lock(); err != nil {
			return err
		}
		defer h.fs.mu.Unlock()
		n := max(end-f.first, 0) // another sync may have ended before
		for _, w := range f.writes[:n] {
			f.synced = writeAt(f.synced, w.data, w.at)
		}
		f.writes, f.first = f.writes[n:], f.first+n
		return nil
	}, nil
}

func (h *memHandle) Size() (int64, error) {
	if err := h.lock(); err != nil {
		return 0, err
	}
	defer h.fs.mu.Unlock()
	return int64(len(h.file.data)), nil
}

func (h *memHandle) Close() error { return nil }
