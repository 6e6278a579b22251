package resource

import (
	"fmt"
	"os"
	"syscall"
)

// Files returns how many files and sockets the process has open, and how many it may.
func Files() (open, most uint64, err error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, 0, fmt.Errorf("open files: %w", err)
	}
	return uint64(len(entries)), limit.Cur, nil
}
