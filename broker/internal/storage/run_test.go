package storage

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestRuns(t *testing.T) {
	fs := NewMemFS()
	content := bytes.Repeat([]byte("0123456789"), runBufferBytes/4)
	for _, id := range []RunID{{7, 1}, {7, 2}, {8, 1}} {
		w, err := CreateRun(fs, id.Group, id.ID)
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(content, 999) {
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	w, err := CreateRun(fs, 9, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.Abort()
	fs.Crash(Survival{})
	r, err := OpenRun(fs, 7, 2)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := r.Read(12345, 678); err != nil || !bytes.Equal(b, content[12345:12345+678]) {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := r.Read(int64(len(content)), 1); err == nil || !strings.HasPrefix(err.Error(), "run/7-2.run at offset ") {
		t.Errorf("behind the end: %v", err)
	}
	if err := errors.Join(r.Close(), RemoveRun(fs, 7, 1), RemoveRun(fs, 7, 1)); err != nil {
		t.Error(err)
	}
	if runs, err := Runs(fs); err != nil || !slices.Equal(runs, []RunID{{7, 2}, {8, 1}}) {
		t.Errorf("%v, %v", runs, err)
	}
	if _, err := OpenRun(fs, 7, 1); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestRunsThatAreNone(t *testing.T) {
	fs := NewMemFS()
	w, err := CreateRun(fs, 7, 1)
	if err == nil {
		err = w.Finish()
	}
	f, err2 := fs.Open("run/7-1.run", false)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("run/7-1.run", "run/8-1.run"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRun(fs, 8, 1); err == nil || !strings.Contains(err.Error(), "run/8-1.run at offset 0: not a run of group 8") {
		t.Error(err)
	}
	if _, err := f.WriteAt([]byte{9}, 4); err != nil {
		t.Fatal(err)
	}
	if err := fs.Rename("run/8-1.run", "run/7-1.run"); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRun(fs, 7, 1); err == nil || !strings.Contains(err.Error(), "format version 9") {
		t.Error(err)
	}
}
