package resource

import (
	"errors"
	"math"
	"testing"
)

func TestMemory(t *testing.T) {
	total, err := MemoryTotal()
	if errors.Is(err, ErrUnknown) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	used, err := MemoryUsed()
	if err != nil || used == 0 || used >= total {
		t.Fatalf("%d of %d bytes used: %v", used, total, err)
	}
	if free, err := DiskFree(t.TempDir()); err != nil || free == 0 {
		t.Fatalf("%d bytes free: %v", free, err)
	}
	if _, err := DiskFree("/there/is/no/such/directory"); err == nil {
		t.Fatal("free space of nothing")
	}
}

func TestFiles(t *testing.T) {
	if n, err := memTotal([]byte("MemFree: 1 kB\nMemTotal:       2048 kB\n")); n != 2<<20 || err != nil {
		t.Errorf("total %d, %v", n, err)
	}
	if _, err := memTotal([]byte("MemFree: 1 kB\n")); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if n, err := resident([]byte("900 10 3 1 0 5 0\n"), 4096); n != 40960 || err != nil {
		t.Errorf("resident %d, %v", n, err)
	}
	if _, err := resident(nil, 4096); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if n := cgroupLimit([]byte("536870912\n")); n != 512<<20 {
		t.Errorf("limit %d", n)
	}
	if n := cgroupLimit([]byte("max\n")); n != math.MaxUint64 {
		t.Errorf("limit %d", n)
	}
}
