package broker

import (
	"log/slog"
	"time"

	"github.com/warren-mq/warren/broker/internal/node"
)

// api is what the management front end may do.
type api struct{ n *Node }

// Node implements management.Broker.
func (a api) Node() *node.Node { return a.n.current() }

// SetLimits implements management.Broker.
func (a api) SetLimits(memory, diskFree uint64) { a.n.SetLimits(memory, diskFree) }

// LogLevel implements management.Broker.
func (a api) LogLevel() *slog.LevelVar { return a.n.cfg.LogLevel }

// Stop implements management.Broker.
func (a api) Stop() {
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	if a.n.stop != nil {
		a.n.stop()
	}
}

// CertificateEnd implements management.Broker.
func (a api) CertificateEnd() time.Time {
	if s := a.n.certs.any(); s != nil {
		return s.End()
	}
	return time.Time{}
}

// JoinCluster implements management.Broker.
func (a api) JoinCluster(peer string, force bool) error { return a.n.JoinCluster(peer, force) }
