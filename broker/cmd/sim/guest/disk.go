//go:build wasip1

package main

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/warren-mq/warren/broker/internal/storage"
)

// disk is the machine's, as storage.FS.
type disk struct {
	mu      sync.Mutex
	ticket  uint64
	waiting map[uint64]chan error
}

// openDisk returns the machine's disk. Its goroutine lives as long as the process.
func openDisk() (*disk, error) {
	c, err := connOf(int32(fsFinished()))
	if err != nil {
		return nil, err
	}
	d := &disk{waiting: map[uint64]chan error{}}
	go d.finish(c)
	return d, nil
}

// finish tells who waits for syncs that they have ended.
func (d *disk) finish(c net.Conn) {
	for {
		var b [16]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			panic(err)
		}
		ticket := binary.LittleEndian.Uint64(b[:])
		d.mu.Lock()
		done := d.waiting[ticket]
		delete(d.waiting, ticket)
		d.mu.Unlock()
		var err error
		if code := binary.LittleEndian.Uint64(b[8:]); code != 0 {
			err = syscall.Errno(code)
		}
		done <- err
	}
}

// sync starts something that ends later, and waits for it.
func (d *disk) sync(name string, start func(ticket uint64) int64) error {
	done := make(chan error, 1)
	d.mu.Lock()
	d.ticket++
	ticket := d.ticket
	d.waiting[ticket] = done
	d.mu.Unlock()
	err := check(start(ticket))
	if err == nil {
		err = <-done
	}
	return named("sync", name, err)
}

func named(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: name, Err: err}
}

func (d *disk) Open(name string, create bool) (storage.File, error) {
	flag := uint32(0)
	if create {
		flag = 1
	}
	p, n := at(name)
	fd := fsOpen(p, n, flag)
	if err := check(fd); err != nil {
		return nil, named("open", name, err)
	}
	return &file{d, name, int32(fd)}, nil
}

func (d *disk) Rename(from, to string) error {
	p, n := at(from)
	q, m := at(to)
	return named("rename", from, check(fsRename(p, n, q, m)))
}

func (d *disk) Remove(name string) error {
	p, n := at(name)
	return named("remove", name, check(fsRemove(p, n)))
}

func (d *disk) List(dir string) ([]string, error) {
	p, n := at(dir)
	b := make([]byte, 4096)
	for {
		q, m := place(b)
		v := fsList(p, n, q, m)
		if err := check(v); err != nil {
			return nil, named("list", dir, err)
		}
		if v == 0 {
			return nil, nil
		}
		if int(v) <= len(b) {
			return strings.Split(string(b[:v]), "\n"), nil
		}
		b = make([]byte, v)
	}
}

func (d *disk) MakeDir(dir string) error {
	p, n := at(dir)
	return named("mkdir", dir, check(fsMkdir(p, n)))
}

func (d *disk) SyncDir(dir string) error {
	p, n := at(dir)
	return d.sync(dir, func(ticket uint64) int64 { return fsSyncDir(p, n, ticket) })
}

func (d *disk) Lock() (func() error, error) { return func() error { return nil }, nil }

type file struct {
	d    *disk
	name string
	fd   int32
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p, n := place(b)
	v := fsRead(f.fd, p, n, off)
	if err := check(v, b); err != nil {
		return 0, named("read", f.name, err)
	}
	if int(v) < len(b) {
		return int(v), io.EOF
	}
	return int(v), nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p, n := place(b)
	v := fsWrite(f.fd, p, n, off)
	if err := check(v, b); err != nil {
		return 0, named("write", f.name, err)
	}
	return int(v), nil
}

func (f *file) Sync() error {
	return f.d.sync(f.name, func(ticket uint64) int64 { return fsSync(f.fd, ticket) })
}

func (f *file) Size() (int64, error) {
	v := fsSize(f.fd)
	return max(v, 0), named("size", f.name, check(v))
}

func (f *file) Close() error { return named("close", f.name, check(fsClose(f.fd))) }
