package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/warren-mq/warren/broker/internal/management"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// definitionsHash is the global parameter that tells which content was imported last.
const definitionsHash = "imported_definition_hash_value"

// defineRetry is after what time an import is tried again that the cluster could not take.
const defineRetry = time.Second

// define imports the definitions that the settings name, unless the cluster has them.
func (n *Node) define(ctx context.Context) {
	log := n.cfg.Logger.With("node", n.cfg.Name, "file", n.cfg.Definitions)
	sum := sha256.Sum256(n.definitions)
	value, err := json.Marshal(hex.EncodeToString(sum[:]))
	if err != nil {
		panic("broker: " + err.Error()) // a text: can't fail
	}
	for ; ctx.Err() == nil; n.pause(ctx, defineRetry) {
		if n.AwaitReady(ctx) != nil {
			continue
		}
		inner, same := n.current(), false
		inner.View(func(s *metadata.State) { same = string(s.Globals[definitionsHash]) == string(value) })
		if same {
			log.Info("definitions are imported already")
			return
		}
		report, err := management.Import(ctx, inner, n.definitions, "")
		for _, r := range report.Refused {
			log.Warn("definition refused", "path", r.Path, "reason", r.Reason)
		}
		if err == nil {
			err = inner.Change(ctx, metadata.Command{GlobalSet: &metadata.GlobalSet{Name: definitionsHash, Value: value}})
		}
		if err == nil {
			log.Info("definitions imported", "entries", report.Imported, "refused", len(report.Refused))
			return
		}
		log.Warn("definitions not imported yet", "error", err)
	}
}
