package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// diskBytes is the size of a node's file system: room for a few segments of its log.
const diskBytes = 1 << 30

// disk is a small file system of its own for a node's data, which can be filled.
type disk struct {
	image, mount string
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
	for _, args := range [][]string{
		{"mkfs.ext4", "-q", "-m", "0", d.image},
		{"mount", "-o", "loop", d.image, d.mount},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil { //nolint:noctx // short
			return nil, fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	return d, nil
}

func (d *disk) ballast() string { return filepath.Join(d.mount, "ballast") }

// fill leaves so many bytes.
func (d *disk) fill(leave int64) error {
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

// free gives the space back.
func (d *disk) free() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// remove unmounts it and gives the image's space back.
func (d *disk) remove() error {
	if out, err := exec.Command("umount", d.mount).CombinedOutput(); err != nil { //nolint:noctx // short
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	return os.Remove(d.image)
}
