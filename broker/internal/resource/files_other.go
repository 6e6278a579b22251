//go:build !linux

package resource

// Files returns how many files and sockets the process has open, and how many it may.
func Files() (open, most uint64, err error) { return 0, 0, ErrUnknown }
