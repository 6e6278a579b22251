// Package resource says how much memory and disk there is, and how much is in use: of
// the machine, or of the container that the process runs in.
package resource

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// Where the system tells it. The files of control groups exist only inside of one.
const (
	memInfoFile  = "/proc/meminfo"
	statmFile    = "/proc/self/statm"
	cgroup2Limit = "/sys/fs/cgroup/memory.max"
	cgroup1Limit = "/sys/fs/cgroup/memory/memory.limit_in_bytes"
)

// ErrUnknown is returned on systems that do not tell.
var ErrUnknown = errors.New("this system does not tell")

// MemoryTotal returns the bytes of memory that the process may use: the machine's, or
// less if its control group has a limit.
func MemoryTotal() (uint64, error) {
	b, err := os.ReadFile(memInfoFile)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	total, err := memTotal(b)
	if err != nil {
		return 0, err
	}
	for _, file := range [...]string{cgroup2Limit, cgroup1Limit} {
		if b, err := os.ReadFile(file); err == nil {
			total = min(total, cgroupLimit(b))
		}
	}
	return total, nil
}

// memTotal reads the line "MemTotal: 123 kB".
func memTotal(meminfo []byte) (uint64, error) {
	for line := range bytes.Lines(meminfo) {
		f := strings.Fields(string(line))
		if len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			kb, err := strconv.ParseUint(f[1], 10, 54)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%w: no MemTotal in %s", ErrUnknown, memInfoFile)
}

// cgroupLimit reads a limit in bytes; "max" and all that is no number mean none.
func cgroupLimit(b []byte) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return math.MaxUint64
	}
	return n
}

// MemoryUsed returns the bytes of memory that the process has in use: its resident set.
func MemoryUsed() (uint64, error) {
	b, err := os.ReadFile(statmFile)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return resident(b, uint64(os.Getpagesize()))
}

// resident reads the second number, in pages.
func resident(statm []byte, page uint64) (uint64, error) {
	f := strings.Fields(string(statm))
	if len(f) < 2 {
		return 0, fmt.Errorf("%w: %q in %s", ErrUnknown, statm, statmFile)
	}
	n, err := strconv.ParseUint(f[1], 10, 50)
	return n * page, err
}
