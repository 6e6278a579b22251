// Package storage keeps bytes on disk: the node's write-ahead log, which all groups
// share, and their snapshots. It knows nothing of Raft or of queues.
package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"syscall"
)

// File is an open file. Writes are durable after Sync, not before.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes data written so far durable (fdatasync).
	Sync() error
	// Size returns the length in bytes.
	Size() (int64, error)
	Close() error
}

// FS is the file system as this package sees it. Names are relative to its root.
type FS interface {
	// Open opens name for reading and writing; create makes it, emptied, if absent.
	Open(name string, create bool) (File, error)
	// Rename replaces to by from, atomically; durable after SyncDir.
	Rename(from, to string) error
	Remove(name string) error
	// List returns the names in dir, sorted; none if dir does not exist.
	List(dir string) ([]string, error)
	// MakeDir creates dir and its parents, durably.
	MakeDir(dir string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
}

// OSDir returns the operating system's file system below root.
func OSDir(root string) FS { return osDir(root) }

type osDir string

func (d osDir) path(name string) string { return filepath.Join(string(d), name) }

func (d osDir) Open(name string, create bool) (File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(d.path(name), flags, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osDir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d osDir) Remove(name string) error     { return os.Remove(d.path(name)) }

func (d osDir) MakeDir(dir string) error {
	if st, err := os.Stat(d.path(dir)); err == nil && st.IsDir() {
		return nil
	}
	if err := os.MkdirAll(d.path(dir), 0o750); err != nil {
		return err
	}
	for dir != "." { // each parent names the next
		dir = filepath.Dir(dir)
		if err := d.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (d osDir) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	sort.Strings(names)
	return names, nil
}

func (d osDir) SyncDir(dir string) error {
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct{ *os.File }

func (f osFile) Sync() error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Lock takes the exclusive lock of the data directory root, so that two nodes never
// share one. The returned function releases it.
func Lock(root string) (func() error, error) {
	f, err := os.OpenFile(filepath.Join(root, "LOCK"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("data directory %s is in use by another node: %w", root, err)
	}
	return f.Close, nil
}
