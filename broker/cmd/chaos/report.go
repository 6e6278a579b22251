package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

func sprintMessage(what string, publisher, seq int, m *message) string {
	return fmt.Sprintf("%s: message %d of publisher %d (channel %d) in %s, published %s, confirmed %s, taken %d times as fresh and %d times again",
		what, seq, publisher+1, m.session+1, queueName(m.queue), time.Duration(m.published), time.Duration(m.confirmed), m.fresh, m.again)
}

// write prints the ledger, and says whether all promises were kept.
func (r *outcome) write(w io.Writer, b *breaker, l *ledger) (kept bool) {
	s := &r.summary
	fmt.Fprintf(w, "\nseed                    %d, %s\n", r.seed, r.took.Round(time.Second))
	var faults []string
	counts := b.counts()
	for _, k := range kinds {
		if counts[k] > 0 {
			faults = append(faults, fmt.Sprintf("%s %d", k, counts[k]))
		}
	}
	fmt.Fprintf(w, "faults                  %s\n", strings.Join(faults, ", "))
	fmt.Fprintf(w, "published               %d (%d connections lost)\n", s.published, l.failures)
	fmt.Fprintf(w, "accepted (confirmed)    %d, slowest after %s\n", s.confirmed, s.slowest.Round(time.Millisecond))
	fmt.Fprintf(w, "refused (nacked)        %d\n", s.refused)
	fmt.Fprintf(w, "delivered               %d, by %d subscriptions\n", s.delivered, s.takers)
	fmt.Fprintf(w, "duplicated              %d\n", s.duplicated)
	fmt.Fprintf(w, "lost                    %d\n", s.lost)
	fmt.Fprintf(w, "unconfirmed, delivered  %d\n", s.unconfirmedDelivered)
	fmt.Fprintf(w, "unconfirmed, not        %d\n", s.unconfirmedGone)
	fmt.Fprintf(w, "reordered               %d in a channel, %d behind one published after their confirm\n", s.reordered, s.overtaken)
	fmt.Fprintf(w, "fresh more than once    %d\n", s.freshTwice)
	fmt.Fprintf(w, "returned, damaged, of nobody  %d, %d, %d\n", s.returned, l.damaged, l.foreign)
	for i := range l.queues {
		q := &l.queues[i]
		fmt.Fprintf(w, "longest gap, %s   %s\n", queueName(i), describeGap("confirms", &q.confirm, b))
		fmt.Fprintf(w, "                        %s\n", describeGap("deliveries", &q.deliver, b))
	}
	kept = !s.broken() && l.damaged+l.foreign == 0 && len(l.notes) == 0
	for _, v := range []struct {
		name string
		v    *verdict
	}{{"messages", &r.lives}, {"orders", &r.orders}} {
		fmt.Fprintf(w, "linearizable            %d of %d %s, %d not decided in time\n",
			v.v.checked-len(v.v.illegal)-v.v.unknown, v.v.checked, v.name, v.v.unknown)
		for i, text := range v.v.illegal {
			if i < examplesMax {
				fmt.Fprintf(w, "  NOT: %s\n", text)
			}
		}
		kept = kept && len(v.v.illegal) == 0
	}
	for _, e := range s.examples {
		fmt.Fprintln(w, " ", e)
	}
	for _, n := range l.notes {
		fmt.Fprintln(w, "  WRONG:", n)
	}
	if kept {
		fmt.Fprintln(w, "All promises were kept.")
	} else {
		fmt.Fprintln(w, "PROMISES WERE BROKEN.")
	}
	return kept
}

func describeGap(what string, g *gap, b *breaker) string {
	return fmt.Sprintf("%6.3f s without %s, from %.3f s (%s)", g.longest.Seconds(), what, time.Duration(g.from).Seconds(),
		strings.Join(b.during(g.from, g.to), "; "))
}
