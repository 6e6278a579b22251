package main

import (
	"net"
	"sync"
	"time"
)

// backend is one server's state.
type backend struct {
	server
	rise, fall int

	mu       sync.Mutex
	up       bool
	stopped  bool // no session begins any more
	good     int  // checks in a row, while DOWN
	bad      int  // checks in a row, while UP
	sessions map[*session]struct{}
	stats    stats
}

// stats is what the statistics page tells of a server.
type stats struct {
	sessionsMax, sessionsTotal int
	bytesIn, bytesOut          int64 // from clients, to clients
	connectErrors              int
	checkFailures, downs       int
	changed                    time.Time // UP or DOWN since then
	downtime                   time.Duration
	lastCheck                  string
	checkCode                  int
	checkTook                  time.Duration
}

// session is one client's connection and the server's.
type session struct {
	client, server net.Conn
}

func (s *session) close() {
	_ = s.client.Close() // the copying goroutines see the results
	_ = s.server.Close()
}

// newBackend returns a server that counts as UP, though the first bad check marks it
// DOWN: so a balancer can serve at once, and learns fast.
func newBackend(s server, rise, fall int, now time.Time) *backend {
	return &backend{
		server: s, rise: rise, fall: fall, up: true, bad: fall - 1,
		sessions: map[*session]struct{}{}, stats: stats{changed: now, lastCheck: "not checked yet"},
	}
}

// observed takes a check's result, and says if it changed the state.
func (b *backend) observed(r result, now time.Time) (up, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.lastCheck, b.stats.checkCode, b.stats.checkTook = r.text, r.code, r.took
	if r.ok {
		b.bad = 0
		b.good++
		if !b.up && b.good >= b.rise {
			b.stats.downtime += now.Sub(b.stats.changed)
			b.up, b.stats.changed = true, now
			return true, true
		}
		return b.up, false
	}
	b.stats.checkFailures++
	b.good = 0
	b.bad++
	if b.up && b.bad >= b.fall {
		b.markDown(now)
		return false, true
	}
	return b.up, false
}

// refused says that a connect failed: no check could be a better witness.
func (b *backend) refused(now time.Time) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.connectErrors++
	b.good = 0
	if b.up {
		b.markDown(now)
		return true
	}
	return false
}

// markDown closes all sessions: their clients shall come back and find a better server.
func (b *backend) markDown(now time.Time) {
	b.up, b.good, b.bad, b.stats.changed = false, 0, 0, now
	b.stats.downs++
	for s := range b.sessions {
		s.close()
	}
}

func (b *backend) isUp() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.up
}

// add registers a session; false if the server went DOWN meanwhile.
func (b *backend) add(s *session) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.up || b.stopped {
		return false
	}
	b.sessions[s] = struct{}{}
	b.stats.sessionsTotal++
	b.stats.sessionsMax = max(b.stats.sessionsMax, len(b.sessions))
	return true
}

func (b *backend) remove(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.sessions, s)
}

func (b *backend) count(in, out int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.bytesIn += in
	b.stats.bytesOut += out
}

// stop closes all sessions for good.
func (b *backend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	for s := range b.sessions {
		s.close()
	}
}

// status is a snapshot for the statistics page.
type status struct {
	server
	stats
	up       bool
	sessions int
}

func (b *backend) status(now time.Time) status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := status{server: b.server, stats: b.stats, up: b.up, sessions: len(b.sessions)}
	if !b.up {
		s.downtime += now.Sub(s.changed)
	}
	return s
}
