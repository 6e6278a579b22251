//go:build unix

package resource

import "syscall"

// DiskFree returns the bytes that an ordinary process may still write below dir.
func DiskFree(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
