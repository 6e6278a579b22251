package storage

import (
	"fmt"
	"sync"
)

// FaultFS passes operations on to another file system, until one is to fail.
type FaultFS struct {
	fs FS

	mu sync.Mutex
	// fail is asked before each operation; not nil means that it fails.
	fail func(Operation) *Fault
	n    int
}

var _ FS = (*FaultFS)(nil)

// Operation is one call that changes a file system.
type Operation struct {
	N    int    // counted from 1
	Verb string // open, write, sync, rename, remove, syncdir
	Name string
}

// Fault is how an operation fails: with Err, after the first Short bytes of a write
// went through. Without Err it is only late: it goes on when Wait is closed.
type Fault struct {
	Err   error
	Short int
	Wait  <-chan struct{}
}

// NewFaultFS returns fs with faults chosen by fail, which may be nil.
func NewFaultFS(fs FS, fail func(Operation) *Fault) *FaultFS { return &FaultFS{fs: fs, fail: fail} }

// Operations returns how many operations there were.
func (f *FaultFS) Operations() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *FaultFS) fault(verb, name string) *Fault {
	ft := f.choose(verb, name)
	if ft == nil {
		return nil
	}
	if ft.Wait != nil {
		<-ft.Wait
	}
	if ft.Err == nil {
		return nil
	}
	return ft
}

func (f *FaultFS) choose(verb, name string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.fail == nil {
		return nil
	}
	return f.fail(Operation{f.n, verb, name})
}

func (f *FaultFS) check(verb, name string) error {
	if ft := f.fault(verb, name); ft != nil {
		return fmt.Errorf("%s %s: %w", verb, name, ft.Err)
	}
	return nil
}

// Open implements FS.
func (f *FaultFS) Open(name string, create bool) (File, error) {
	if err := f.check("open", name); err != nil {
		return nil, err
	}
	file, err := f.fs.Open(name, create)
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f, name}, nil
}

// Rename implements FS.
func (f *FaultFS) Rename(from, to string) error {
	if err := f.check("rename", from); err != nil {
		return err
	}
	return f.fs.Rename(from, to)
}

// Remove implements FS.
func (f *FaultFS) Remove(name string) error {
	if err := f.check("remove", name); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// List implements FS.
func (f *FaultFS) List(dir string) ([]string, error) { return f.fs.List(dir) }

// MakeDir implements FS.
func (f *FaultFS) MakeDir(dir string) error { return f.fs.MakeDir(dir) }

// SyncDir implements FS.
func (f *FaultFS) SyncDir(dir string) error {
	if err := f.check("syncdir", dir); err != nil {
		return err
	}
	return f.fs.SyncDir(dir)
}

// Lock implements FS.
func (f *FaultFS) Lock() (func() error, error) { return f.fs.Lock() }

type faultFile struct {
	File
	fs   *FaultFS
	name string
}

func (f *faultFile) WriteAt(b []byte, at int64) (int, error) {
	if ft := f.fs.fault("write", f.name); ft != nil {
		n, _ := f.File.WriteAt(b[:min(ft.Short, len(b))], at)
		return n, fmt.Errorf("write %s: %w", f.name, ft.Err)
	}
	return f.File.WriteAt(b, at)
}

func (f *faultFile) Sync() error {
	if err := f.fs.check("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}
