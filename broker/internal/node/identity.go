package node

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/warren-mq/warren/broker/internal/cluster"
)

const identityFile = "node.json"

// loadIdentity reads who this data directory belongs to, or makes a new replica id:
// an emptied directory must never pass for the member that voted before. The
// incarnation grows with each call.
func loadIdentity(dir, name string) (cluster.Identity, error) {
	var id cluster.Identity
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		var r [8]byte
		_, _ = rand.Read(r[:]) // never fails
		id = cluster.Identity{Name: name, Replica: binary.LittleEndian.Uint64(r[:])>>1 | 1}
	case err != nil:
		return id, err
	default:
		if err := json.Unmarshal(b, &id); err != nil {
			return id, fmt.Errorf("%s: %w", path, err)
		}
		if id.Name != name {
			return id, fmt.Errorf("data directory %s belongs to node %s, not to %s", dir, id.Name, name)
		}
	}
	id.Incarnation++
	return id, saveIdentity(dir, id)
}

func saveIdentity(dir string, id cluster.Identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, identityFile)
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
