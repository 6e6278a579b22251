package raftnode

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// worker drives a fixed share of the groups, one event at a time. What arrives while
// it works is taken as one turn, so that each group proposes, stores and sends once
// for all of it.
type worker struct {
	host *Host
	mu   sync.Mutex
	wake sync.Cond
	// inbox is taken whole at each turn.
	inbox  []posted
	closed bool

	groups map[uint64]*Group // owned by the loop
	dirty  []*Group
}

type posted struct {
	group uint64 // 0: all
	to    *Group // if not nil, this one only
	event any
}

type (
	addEvent    struct{ g *Group }
	removeEvent struct{ done chan struct{} }
)

func newWorker(h *Host) *worker {
	w := &worker{host: h, groups: map[uint64]*Group{}}
	w.wake.L = &w.mu
	return w
}

func (w *worker) post(group uint64, event any) { w.push(posted{group: group, event: event}) }

func (w *worker) push(p posted) {
	w.mu.Lock()
	w.inbox = append(w.inbox, p)
	if len(w.inbox) == 1 {
		w.wake.Signal()
	}
	w.mu.Unlock()
}

func (w *worker) postAll(event any) { w.post(0, event) }
func (w *worker) add(g *Group)      { w.post(g.ID, addEvent{g}) }

// remove lets go of g, and waits until that is done, if the worker runs.
func (w *worker) remove(g *Group) {
	h := w.host
	h.mu.Lock()
	started := h.started
	h.mu.Unlock()
	e := removeEvent{make(chan struct{})}
	w.push(posted{g.ID, g, e})
	if started {
		select {
		case <-e.done:
		case <-h.stop:
		}
	}
}

func (w *worker) close() {
	w.mu.Lock()
	w.closed = true
	w.wake.Signal()
	w.mu.Unlock()
}

func (w *worker) run() {
	var turn []posted
	for {
		w.mu.Lock()
		for len(w.inbox) == 0 && !w.closed {
			w.wake.Wait()
		}
		if w.closed {
			w.mu.Unlock()
			return
		}
		turn, w.inbox = w.inbox, turn[:0]
		w.mu.Unlock()
		for i := range turn {
			w.handle(&turn[i])
		}
		clear(turn)
		for _, g := range w.dirty {
			g.dirty = false
			if !g.removed {
				g.turn()
			}
		}
		w.dirty = w.dirty[:0]
	}
}

func (w *worker) handle(p *posted) {
	if p.group == 0 {
		for _, g := range w.groups {
			w.touch(g, p.event)
		}
		return
	}
	g := w.groups[p.group]
	if p.to != nil && p.to != g {
		g = nil
	}
	switch e := p.event.(type) {
	case addEvent:
		w.groups[p.group] = e.g
		w.touch(e.g, tickEvent{})
	case removeEvent:
		if g != nil {
			g.removed = true
			delete(w.groups, p.group)
		}
		close(e.done)
	default:
		if g != nil {
			w.touch(g, p.event)
		}
	}
}

func (w *worker) touch(g *Group, event any) {
	g.handle(event)
	if !g.dirty {
		g.dirty = true
		w.dirty = append(w.dirty, g)
	}
}

// raftLogger passes raft's own log lines on; what it calls info is detail here.
type raftLogger struct {
	l     *slog.Logger
	group uint64
}

func (r raftLogger) line(level slog.Level, text string) {
	r.l.Log(context.Background(), level, text, "group", r.group)
}
func (r raftLogger) Debug(v ...any)              {}
func (r raftLogger) Debugf(f string, v ...any)   {}
func (r raftLogger) Info(v ...any)               {}
func (r raftLogger) Infof(f string, v ...any)    {}
func (r raftLogger) Warning(v ...any)            { r.line(slog.LevelDebug, fmt.Sprint(v...)) }
func (r raftLogger) Warningf(f string, v ...any) { r.line(slog.LevelDebug, fmt.Sprintf(f, v...)) }
func (r raftLogger) Error(v ...any)              { r.line(slog.LevelWarn, fmt.Sprint(v...)) }
func (r raftLogger) Errorf(f string, v ...any)   { r.line(slog.LevelWarn, fmt.Sprintf(f, v...)) }
func (r raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (r raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (r raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (r raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
