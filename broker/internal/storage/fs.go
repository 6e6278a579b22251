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
	// Lock keeps all other processes out until unlock.
	Lock() (unlock func() error, err error)
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

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// lockName is the file whose lock is the data directory's.
const lockName = "LOCK"

func (d osDir) Lock() (func() error, error) {
	f, err := os.OpenFile(d.path(lockName), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("data directory %s is in use by another node: %w", string(d), err)
	}
	return f.Close, nil
}

// ReadFile returns what is in name.
func ReadFile(fs FS, name string) ([]byte, error) {
	f, err := fs.Open(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("%s: read at offset %d: %w", name, n, err)
	}
	return b, nil
}

// ReplaceFile replaces what is in name by the parts, durably: after a crash it is there
// as it was before, or whole.
func ReplaceFile(fs FS, name string, parts ...[]byte) error {
	tmp := name + ".tmp"
	if err := fs.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := fs.Open(tmp, true)
	if err != nil {
		return err
	}
	at := int64(0)
	for _, p := range parts {
		if err == nil {
			_, err = f.WriteAt(p, at)
			at += int64(len(p))
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(tmp, name); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(name))
}
