package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
)

// Snapshots are files snap/<group>.snap:
//
//	magic "WSN1" u32 | crc32c u32 | format version u32 | length u64 | payload
//
// little-endian; crc32c covers everything behind itself.
const (
	snapDir         = "snap"
	snapSuffix      = ".snap"
	snapMagic       = 0x314e5357
	snapVersion     = 1
	snapHeaderBytes = 20
)

func snapName(group uint64) string { return fmt.Sprintf("%s/%d%s", snapDir, group, snapSuffix) }

// WriteSnapshot replaces group's snapshot by payload, durably.
func WriteSnapshot(fs FS, group uint64, payload []byte) error {
	if err := fs.MakeDir(snapDir); err != nil {
		return err
	}
	head := make([]byte, snapHeaderBytes)
	binary.LittleEndian.PutUint32(head[0:], snapMagic)
	binary.LittleEndian.PutUint32(head[8:], snapVersion)
	binary.LittleEndian.PutUint64(head[12:], uint64(len(payload)))
	crc := crc32.Update(crc32.Checksum(head[8:], castagnoli), castagnoli, payload)
	binary.LittleEndian.PutUint32(head[4:], crc)
	return ReplaceFile(fs, snapName(group), head, payload)
}

// ReadSnapshot returns group's snapshot, nil if it has none.
func ReadSnapshot(fs FS, group uint64) ([]byte, error) {
	name := snapName(group)
	b, err := ReadFile(fs, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) < snapHeaderBytes || binary.LittleEndian.Uint32(b) != snapMagic {
		return nil, fmt.Errorf("%s at offset 0: not a snapshot", name)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != snapVersion {
		return nil, fmt.Errorf("%s: format version %d, this version reads %d", name, v, snapVersion)
	}
	if binary.LittleEndian.Uint64(b[12:]) != uint64(len(b)-snapHeaderBytes) ||
		crc32.Checksum(b[8:], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, fmt.Errorf("%s at offset %d: checksum does not match", name, snapHeaderBytes)
	}
	return b[snapHeaderBytes:], nil
}

// RemoveSnapshot removes group's snapshot, if any, durably.
func RemoveSnapshot(fs FS, group uint64) error {
	err := fs.Remove(snapName(group))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fs.SyncDir(snapDir)
}

// Snapshots returns the groups that have a snapshot.
func Snapshots(fs FS) ([]uint64, error) {
	names, err := fs.List(snapDir)
	if err != nil {
		return nil, err
	}
	var groups []uint64
	for _, n := range names {
		if digits, ok := strings.CutSuffix(n, snapSuffix); ok {
			if g, err := strconv.ParseUint(digits, 10, 64); err == nil {
				groups = append(groups, g)
			}
		}
	}
	return groups, nil
}
