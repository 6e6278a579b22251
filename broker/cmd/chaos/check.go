package main

import "time"

// summary is what became of all messages.
type summary struct {
	published, confirmed, refused, returned int
	delivered                               int // at least once
	duplicated                              int // deliveries beyond the first of each
	lost                                    int // confirmed, never delivered
	unconfirmedDelivered                    int
	unconfirmedGone                         int
	freshTwice                              int // delivered as fresh more than once
	reordered                               int // behind a later one of its publisher's channel
	overtaken                               int // behind one that was published after its confirm
	takers                                  int
	slowest                                 time.Duration // confirm
	examples                                []string
}

const examplesMax = 20

func (l *ledger) sum() (s summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, ms := range l.messages {
		for i := range ms {
			l.count(&s, p, i, &ms[i])
		}
	}
	s.takers = len(l.takers)
	for _, t := range l.takers {
		l.order(&s, t)
	}
	return s
}

func (l *ledger) count(s *summary, publisher, seq int, m *message) {
	s.published++
	n := m.fresh + m.again
	switch {
	case m.refused:
		s.refused++
	case m.confirmed > 0:
		s.confirmed++
		s.slowest = max(s.slowest, time.Duration(m.confirmed-m.published))
	case n > 0:
		s.unconfirmedDelivered++
	default:
		s.unconfirmedGone++
	}
	if m.returned {
		s.returned++
	}
	if n > 0 {
		s.delivered++
		s.duplicated += n - 1
	} else if m.confirmed > 0 {
		s.lost++
		s.example("lost", publisher, seq, m)
	}
	if m.fresh > 1 {
		s.freshTwice++
		s.example("fresh more than once", publisher, seq, m)
	}
}

// order looks at one subscription's fresh messages.
func (l *ledger) order(s *summary, t *taker) {
	type place struct {
		session uint32
		seq     uint64
	}
	last := map[int]place{}
	var latest moment // publishing of what was taken so far
	for _, k := range t.took {
		if k.redelivered {
			continue
		}
		m := &l.messages[k.publisher][k.seq]
		if p, ok := last[k.publisher]; ok && p.session == m.session && k.seq < p.seq {
			s.reordered++
			s.example("reordered", k.publisher, int(k.seq), m)
		} else {
			last[k.publisher] = place{m.session, k.seq}
		}
		if m.confirmed > 0 && m.confirmed < latest {
			s.overtaken++
			s.example("overtaken", k.publisher, int(k.seq), m)
		}
		latest = max(latest, m.published)
	}
}

func (s *summary) example(what string, publisher, seq int, m *message) {
	if len(s.examples) < examplesMax {
		s.examples = append(s.examples, sprintMessage(what, publisher, seq, m))
	}
}

// broken reports whether a promise was broken.
func (s *summary) broken() bool {
	return s.lost+s.freshTwice+s.reordered+s.overtaken+s.returned > 0
}
