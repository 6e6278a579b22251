package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/sim/task"
)

// ledger is what clients have seen, and what was wrong with it.
type ledger struct {
	messages map[messageKey]*message
	fresh    map[streamKey]int // the last number that a consumer got for the first time
	applied  map[entryKey]entry
	leaders  map[termKey]string
	views    []task.Record
	wrong    []string
	done     int   // publishers that could publish in the end
	moved    int64 // when something was last delivered or settled

	counts *Counts
}

type messageKey struct {
	queue, publisher string
	number           int
}

type streamKey struct{ queue, publisher, consumer string }

// entryKey names an entry of a replicated log, entry what the first replica found there.
type entryKey struct{ group, index uint64 }

type entry struct {
	by   string
	term uint64
	sum  uint64
}

type termKey struct{ group, term uint64 }

type message struct {
	confirmed bool
	excused   bool   // its only copy was on a disk that is gone
	fresh     string // who got it for the first time
	acked     int
}

func newLedger(counts *Counts) *ledger {
	return &ledger{counts: counts, messages: map[messageKey]*message{}, fresh: map[streamKey]int{}, applied: map[entryKey]entry{}, leaders: map[termKey]string{}}
}

func (l *ledger) violation(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// take checks a record as it comes.
func (l *ledger) take(now int64, b []byte) {
	var r task.Record
	if err := json.Unmarshal(b, &r); err != nil {
		l.violation("record %q: %v", b, err)
		return
	}
	if r.Kind == task.Listed {
		l.views = append(l.views, r)
		return
	}
	l.moved = now
	switch r.Kind {
	case task.Done:
		l.done++
		return
	case task.Lost:
		return
	case task.Silent:
		if time.Duration(now) > finishAt+answerWithin {
			l.violation("%s had no answer for %d messages in %s, %s after the last fault", r.Publisher, r.Number, r.Queue, time.Duration(now)-finishAt)
		}
		return
	}
	k := messageKey{r.Queue, r.Publisher, r.Number}
	m := l.messages[k]
	if r.Kind == task.Sent {
		l.counts.Sent++
		l.messages[k] = &message{}
		return
	}
	what := fmt.Sprintf("message %d of %s in %s", r.Number, r.Publisher, r.Queue)
	if m == nil {
		l.violation("%s was never sent, and is %s", what, r.Kind)
		return
	}
	switch r.Kind {
	case task.Confirmed:
		l.counts.Confirmed++
		m.confirmed = true
	case task.Refused:
		l.counts.Refused++
	case task.Taken:
		l.counts.Taken++
		if r.Redelivered {
			l.counts.Again++
			return
		}
		if m.fresh != "" {
			l.violation("%s was delivered to %s and to %s, and never marked as redelivered", what, m.fresh, r.Consumer)
		}
		m.fresh = r.Consumer
		s := streamKey{r.Queue, r.Publisher, r.Consumer}
		if before := l.fresh[s]; before > r.Number {
			l.violation("%s was delivered for the first time after message %d", what, before)
		}
		l.fresh[s] = r.Number
	case task.Acked:
		m.acked++
	}
}

// apply checks that a replica applies what the others do.
func (l *ledger) apply(by string, k entryKey, term uint64, b []byte) {
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	e := entry{by: by, term: term, sum: h.Sum64()}
	was, known := l.applied[k]
	switch {
	case !known:
		l.applied[k] = e
	case was.term != term || was.sum != e.sum:
		l.violation("group %d, entry %d: %s applied one of term %d, and %s another one, of term %d", k.group, k.index, was.by, was.term, by, term)
	}
}

// lead checks that a term has one leader.
func (l *ledger) lead(by string, k termKey) {
	if was := cmp.Or(l.leaders[k], by); was != by {
		l.violation("group %d has two leaders in term %d: %s and %s", k.group, k.term, was, by)
	}
	l.leaders[k] = by
}

// open returns how many confirmed messages nobody has acknowledged yet.
func (l *ledger) open() int {
	n := 0
	for _, m := range l.messages {
		if m.confirmed && m.acked == 0 && !m.excused {
			n++
		}
	}
	return n
}

// excuse gives up what was sent so far to a queue without replicas.
func (l *ledger) excuse(queue string) {
	for k, m := range l.messages {
		m.excused = m.excused || k.queue == queue
	}
}

// close checks what must be true in the end.
func (l *ledger) close() {
	lost := map[string][]string{}
	for k, m := range l.messages {
		if m.confirmed && m.acked == 0 && !m.excused {
			lost[k.queue] = append(lost[k.queue], fmt.Sprintf("%s/%d", k.publisher, k.number))
		}
	}
	for _, q := range slices.Sorted(maps.Keys(lost)) {
		names := lost[q]
		slices.Sort(names)
		l.violation("%d confirmed messages of %s were never taken out: %s", len(names), q, strings.Join(names[:min(len(names), 10)], " "))
	}
	for _, v := range l.views {
		switch {
		case v.Error != "":
			l.violation("%s does not list its queues: %s", v.Publisher, v.Error)
		case v.Ready+v.Unacked > 0:
			l.violation("%s has %d messages ready and %d unacknowledged, when all were taken out:\n%s", v.Publisher, v.Ready, v.Unacked, v.View)
		case v.View != l.views[0].View:
			l.violation("%s and %s know different queues:\n%s\n--\n%s", l.views[0].Publisher, v.Publisher, l.views[0].View, v.View)
		}
	}
}
