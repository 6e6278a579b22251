//go:build !linux

package storage

import "os"

func (f osFile) Sync() error { return f.File.Sync() }

// flock does nothing: only Linux keeps a second node out of a data directory.
func flock(*os.File) error { return nil }
