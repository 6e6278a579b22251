package storage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Run files hold what groups keep outside of log and snapshot. A run is written once,
// from its beginning to its end, and is complete when Finish has returned. It is
// run/<group>-<id>.run:
//
//	magic "WRN1" u32 | format version u32 | group u64 | content
//
// little-endian. The content is its owner's, checksums included; offsets count from its
// beginning.
const (
	runDir         = "run"
	runSuffix      = ".run"
	runMagic       = 0x314e5257
	runVersion     = 1
	runHeaderBytes = 16
	runBufferBytes = 1 << 20
)

func runName(group, id uint64) string { return fmt.Sprintf("%s/%d-%d%s", runDir, group, id, runSuffix) }

// RunWriter writes a run. It is an io.Writer.
type RunWriter struct {
	fs   FS
	name string
	f    File
	off  int64
	buf  *bufio.Writer
}

// CreateRun begins run id of group; one of that name is replaced.
func CreateRun(fs FS, group, id uint64) (*RunWriter, error) {
	if err := fs.MakeDir(runDir); err != nil {
		return nil, err
	}
	w := &RunWriter{fs: fs, name: runName(group, id)}
	if err := fs.Remove(w.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var err error
	if w.f, err = fs.Open(w.name, true); err != nil {
		return nil, err
	}
	w.buf = bufio.NewWriterSize(fileWriter{w}, runBufferBytes)
	head := binary.LittleEndian.AppendUint32(nil, runMagic)
	head = binary.LittleEndian.AppendUint32(head, runVersion)
	_, err = w.buf.Write(binary.LittleEndian.AppendUint64(head, group))
	return w, err
}

type fileWriter struct{ w *RunWriter }

func (f fileWriter) Write(b []byte) (int, error) {
	n, err := f.w.f.WriteAt(b, f.w.off)
	f.w.off += int64(n)
	if err != nil {
		err = fmt.Errorf("%s at offset %d: %w", f.w.name, f.w.off, err)
	}
	return n, err
}

// Write appends to the run.
func (w *RunWriter) Write(b []byte) (int, error) { return w.buf.Write(b) }

// Finish makes the run durable.
func (w *RunWriter) Finish() error {
	err := w.buf.Flush()
	if err == nil {
		err = w.f.Sync()
	}
	if err = errors.Join(err, w.f.Close()); err != nil {
		return err
	}
	return w.fs.SyncDir(runDir)
}

// Abort gives the run up.
func (w *RunWriter) Abort() { _ = errors.Join(w.f.Close(), w.fs.Remove(w.name)) }

// Run is an open run.
type Run struct {
	name string
	f    File
}

// OpenRun opens run id of group.
func OpenRun(fs FS, group, id uint64) (*Run, error) {
	name := runName(group, id)
	f, err := fs.Open(name, false)
	if err != nil {
		return nil, err
	}
	var head [runHeaderBytes]byte
	if _, err = f.ReadAt(head[:], 0); err == nil {
		switch {
		case binary.LittleEndian.Uint32(head[:]) != runMagic || binary.LittleEndian.Uint64(head[8:]) != group:
			err = fmt.Errorf("not a run of group %d", group)
		case binary.LittleEndian.Uint32(head[4:]) != runVersion:
			err = fmt.Errorf("format version %d, this version reads %d", binary.LittleEndian.Uint32(head[4:]), runVersion)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s at offset 0: %w", name, err), f.Close())
	}
	return &Run{name, f}, nil
}

// Read returns length bytes of the content at an offset.
func (r *Run) Read(offset int64, length int) ([]byte, error) {
	b := make([]byte, length)
	if n, err := r.f.ReadAt(b, runHeaderBytes+offset); n < length {
		return nil, r.Error(offset, err)
	}
	return b, nil
}

// Error says where in the run something is wrong.
func (r *Run) Error(offset int64, err error) error {
	return fmt.Errorf("%s at offset %d: %w", r.name, runHeaderBytes+offset, err)
}

// Close closes the run.
func (r *Run) Close() error { return r.f.Close() }

// RemoveRun removes run id of group, if there is one.
func RemoveRun(fs FS, group, id uint64) error {
	if err := fs.Remove(runName(group, id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// RunID names a run.
type RunID struct{ Group, ID uint64 }

// Runs returns the runs that there are, complete or not.
func Runs(fs FS) ([]RunID, error) {
	names, err := fs.List(runDir)
	if err != nil {
		return nil, err
	}
	var runs []RunID
	for _, n := range names {
		base, ok := strings.CutSuffix(n, runSuffix)
		group, id, both := strings.Cut(base, "-")
		g, err1 := strconv.ParseUint(group, 10, 64)
		i, err2 := strconv.ParseUint(id, 10, 64)
		if ok && both && err1 == nil && err2 == nil {
			runs = append(runs, RunID{g, i})
		}
	}
	return runs, nil
}
