package node

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/warren-mq/warren/broker/internal/cluster"
	"github.com/warren-mq/warren/broker/internal/storage"
)

const identityFile = "node.json"

// loadIdentity reads who this data directory belongs to, or makes a new replica id:
// an emptied directory must never pass for the member that voted before. The
// incarnation grows with each call.
func loadIdentity(fs storage.FS, name string) (cluster.Identity, error) {
	var id cluster.Identity
	b, err := storage.ReadFile(fs, identityFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		var r [8]byte
		_, _ = rand.Read(r[:]) // never fails
		id = cluster.Identity{Name: name, Replica: binary.LittleEndian.Uint64(r[:])>>1 | 1}
	case err != nil:
		return id, err
	default:
		if err := json.Unmarshal(b, &id); err != nil {
			return id, fmt.Errorf("%s: %w", identityFile, err)
		}
		if id.Name != name {
			return id, fmt.Errorf("data directory belongs to node %s, not to %s", id.Name, name)
		}
	}
	id.Incarnation++
	return id, saveIdentity(fs, id)
}

func saveIdentity(fs storage.FS, id cluster.Identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return storage.ReplaceFile(fs, identityFile, b)
}
