package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// diskBytes is the size of a node's file system: room for a few segments of its log.
const diskBytes = 1 << 30

// copiesMax is how often the state of a disk is copied until nothing was written meanwhile.
const copiesMax = 5

// disk is a small file system of its own for a node's data, which can be filled and can
// lose its power.
type disk struct {
	image, mount string

	mu    sync.Mutex // held while the file system changes
	fills int        // faults that fill it now
}

// newDisk makes one below dir. It needs root and loop devices.
func newDisk(dir, name string) (*disk, error) {
	d := &disk{image: filepath.Join(dir, name+".img"), mount: filepath.Join(dir, name+".disk")}
	if os.Geteuid() != 0 {
		return nil, errors.New("only root may mount file systems")
	}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close(), os.Mkdir(d.mount, 0o750)); err != nil {
		return nil, err
	}
	if err := command("mkfs.ext4", "-q", "-m", "0", d.image); err != nil {
		return nil, err
	}
	return d, d.attach()
}

// attach mounts the image. What nobody syncs stays in memory for long, so that a power cut
// loses it.
func (d *disk) attach() error { return command("mount", "-o", "loop,commit=300", d.image, d.mount) }

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil { //nolint:noctx // short
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// cutPower makes the disk what it would be after a power cut: what was written to the
// device is there, what the system still kept in memory is gone. Nobody may use it.
func (d *disk) cutPower() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := d.image + ".after"
	for range copiesMax {
		before, err := os.Stat(d.image)
		if err != nil {
			return err
		}
		if err := command("cp", "--sparse=auto", d.image, after); err != nil {
			return err
		}
		now, err := os.Stat(d.image)
		if err != nil {
			return err
		}
		if now.ModTime().Equal(before.ModTime()) {
			if err := errors.Join(command("umount", d.mount), os.Rename(after, d.image)); err != nil {
				return err
			}
			if err := d.attach(); err != nil {
				return err
			}
			return d.makeRoom() // that there is room again may be what was lost
		}
	}
	return errors.New("the disk is never at rest")
}

func (d *disk) ballast() string { return filepath.Join(d.mount, "ballast") }

// fill leaves so many bytes.
func (d *disk) fill(leave int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fills++
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.mount, &s); err != nil {
		return err
	}
	size := int64(s.Bavail)*s.Bsize - leave
	if size <= 0 {
		return nil
	}
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	err = syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, syscall.ENOSPC) { // the node was faster, and it is as full as it should be
		err = nil
	}
	return errors.Join(err, f.Close())
}

// free ends one fault that fills it; all is set: every one.
func (d *disk) free(all bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fills--
	if all {
		d.fills = 0
	}
	return d.makeRoom()
}

// makeRoom gives the space back, unless a fault wants it full.
func (d *disk) makeRoom() error {
	if d.fills > 0 {
		return nil
	}
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// remove unmounts it and gives the image's space back.
func (d *disk) remove() error {
	return errors.Join(command("umount", d.mount), os.Remove(d.image))
}
