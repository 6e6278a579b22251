package management

import (
	"net"
	"sync"
	"time"
)

// Who fails to log in again and again has to wait: so often in loginWindow may one
// address fail as one user.
const (
	loginFailuresMax = 10
	loginWindow      = time.Minute
	loginsWatchedMax = 4096 // pairs of address and user
)

// guard counts failed logins.
type guard struct {
	mu     sync.Mutex
	failed map[guarded]*failures
}

type guarded struct{ host, user string }

type failures struct {
	n     int
	until time.Time
}

func guardedOf(addr, user string) guarded {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return guarded{host, user[:min(len(user), 255)]}
}

// wait returns how long a login must wait; 0: it may try.
func (g *guard) wait(k guarded, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.failed[k]
	if f == nil || now.After(f.until) || f.n < loginFailuresMax {
		return 0
	}
	return f.until.Sub(now)
}

// tried notes how a login went.
func (g *guard) tried(k guarded, good bool, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if good {
		delete(g.failed, k)
		return
	}
	f := g.failed[k]
	if f == nil || now.After(f.until) {
		if g.failed == nil || len(g.failed) >= loginsWatchedMax {
			g.forget(now)
		}
		f = &failures{until: now.Add(loginWindow)}
		g.failed[k] = f
	}
	f.n++
}

// forget makes room: what is over goes, and if nothing is, everything.
func (g *guard) forget(now time.Time) {
	kept := map[guarded]*failures{}
	for k, f := range g.failed {
		if now.Before(f.until) {
			kept[k] = f
		}
	}
	if len(kept) >= loginsWatchedMax {
		kept = map[guarded]*failures{}
	}
	g.failed = kept
}
