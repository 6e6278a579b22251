//go:build wasip1

package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

// What the simulated system offers besides WASI: package sim says what each call does.
// Results below 0 are error numbers.

//go:wasmimport warren fs_open
func fsOpen(name unsafe.Pointer, n uint32, create uint32) int64

//go:wasmimport warren fs_close
func fsClose(file int32) int64

//go:wasmimport warren fs_read
func fsRead(file int32, b unsafe.Pointer, n uint32, at int64) int64

//go:wasmimport warren fs_write
func fsWrite(file int32, b unsafe.Pointer, n uint32, at int64) int64

//go:wasmimport warren fs_size
func fsSize(file int32) int64

//go:wasmimport warren fs_sync
func fsSync(file int32, ticket uint64) int64

//go:wasmimport warren fs_syncdir
func fsSyncDir(name unsafe.Pointer, n uint32, ticket uint64) int64

//go:wasmimport warren fs_rename
func fsRename(from unsafe.Pointer, n uint32, to unsafe.Pointer, m uint32) int64

//go:wasmimport warren fs_remove
func fsRemove(name unsafe.Pointer, n uint32) int64

//go:wasmimport warren fs_mkdir
func fsMkdir(name unsafe.Pointer, n uint32) int64

//go:wasmimport warren fs_list
func fsList(name unsafe.Pointer, n uint32, b unsafe.Pointer, m uint32) int64

//go:wasmimport warren fs_finished
func fsFinished() int64

//go:wasmimport warren net_listen
func netListen(addr unsafe.Pointer, n uint32) int64

//go:wasmimport warren net_dial
func netDial(addr unsafe.Pointer, n uint32) int64

//go:wasmimport warren net_peer
func netPeer(fd int32, b unsafe.Pointer, n uint32) int64

//go:wasmimport warren record
func record(b unsafe.Pointer, n uint32) int64

// at returns where s is, and its length.
func at(s string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))
}

// place is at for bytes.
func place(b []byte) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b))
}

// check makes an error of a result.
func check(v int64, keep ...any) error {
	runtime.KeepAlive(keep)
	if v < 0 {
		return syscall.Errno(-v)
	}
	return nil
}
