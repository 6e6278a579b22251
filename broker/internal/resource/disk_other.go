//go:build !unix

package resource

// DiskFree returns the bytes that an ordinary process may still write below dir.
func DiskFree(string) (uint64, error) { return 0, ErrUnknown }
