package conformance

import (
	"flag"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/brokertest"
)

var (
	update = flag.String("update", "", "record the answers of the broker: of all rows (all), or of those never recorded (new)")
	only   = flag.String("row", "", "only rows whose file/name matches the expression")
)

const (
	rowsAtOnce     = 16
	patience       = 3 * time.Second
	oraclePatience = 10 * time.Second
)

// TestConversations talks all rows with a node of ours, or with the broker at ORACLE_URL.
func TestConversations(t *testing.T) {
	rows, err := readRows()
	if err != nil {
		t.Fatal(err)
	}
	all := rows
	to := connect(t)
	rows = slices.DeleteFunc(slices.Clone(rows), func(r *row) bool {
		return !r.isOn(to.dialect) || !regexp.MustCompile(*only).MatchString(r.file+"/"+r.name)
	})
	if *update != "" {
		recordAll(t, to, rows)
		if err := writeRows(all); err != nil {
			t.Fatal(err)
		}
		return
	}
	errs := make([]error, len(rows))
	each(rows, func(i int, r *row) { errs[i] = newTalk(to, r).replay() })
	for i, r := range rows {
		t.Run(r.file+"/"+r.name, func(t *testing.T) {
			if errs[i] != nil {
				t.Error(errs[i])
			}
		})
	}
}

// each calls f for all rows, some at a time.
func each(rows []*row, f func(i int, r *row)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range rowsAtOnce {
		wg.Go(func() {
			for i := range next {
				f(i, rows[i])
			}
		})
	}
	for i := range rows {
		next <- i
	}
	close(next)
	wg.Wait()
}

// recordAll puts the target's answers into the rows. Where ours are what was expected
// anyway, nothing is kept.
func recordAll(t *testing.T, to target, rows []*row) {
	rows = slices.DeleteFunc(slices.Clone(rows), func(r *row) bool {
		return *update == "new" && slices.ContainsFunc(r.steps, func(s *step) bool { return s.answers[to.dialect] != nil })
	})
	each(rows, func(_ int, r *row) {
		answers, err := newTalk(to, r).record()
		if err != nil {
			t.Errorf("%s/%s: %v", r.file, r.name, err)
			return
		}
		for i, s := range r.steps {
			if to.dialect == ours && r.lead() != ours {
				delete(s.answers, ours)
				if want, _ := s.expected(ours); slices.Equal(want, answers[i]) {
					continue
				}
			}
			s.answers[to.dialect] = append([]string{}, answers[i]...)
		}
	})
}

// connect returns the broker to talk to.
func connect(t *testing.T) target {
	if raw := os.Getenv("ORACLE_URL"); raw != "" {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatalf("ORACLE_URL: %v", err)
		}
		h, err := url.Parse(os.Getenv("ORACLE_HTTP"))
		if err != nil || h.Host == "" {
			t.Fatalf("ORACLE_HTTP=%q is not the address of the management API: http://host:port", os.Getenv("ORACLE_HTTP"))
		}
		to := target{
			amqp: u.Host, http: h.Host, patience: oraclePatience, settle: 300 * time.Millisecond,
			silence: 50 * time.Millisecond, leftovers: true,
		}
		to.dialect = dialectOf(t, to)
		return to
	}
	n := brokertest.Start(t)
	u, err := url.Parse(n.URL())
	if err != nil {
		t.Fatal(err)
	}
	return target{amqp: u.Host, http: n.HTTPAddr(), dialect: ours, patience: patience}
}

var versionOf = regexp.MustCompile(`\bproduct:str=(\S+).*\bversion:str=(\d)`)

// dialectOf asks a broker who it is.
func dialectOf(t *testing.T, to target) dialect {
	events := make(chan event, eventsMax)
	c, err := dial(&row{}, "c", to.amqp, events)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.net.Close() }()
	if err := c.write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-events:
		m := versionOf.FindStringSubmatch(e.line)
		switch {
		case m == nil:
			t.Fatalf("no version in %s", e.line)
		case m[1] != "RabbitMQ" || strings.Contains(e.line, "+warren."):
			return ours
		}
		return dialect(m[2][0])
	case <-time.After(oraclePatience):
		t.Fatalf("%s does not greet", to.amqp)
	}
	return 0
}

// TestRowsAreSound checks the files themselves.
func TestRowsAreSound(t *testing.T) {
	rows, err := readRows()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		name := r.file + "/" + r.name
		if seen[name] {
			t.Errorf("%s stands twice", name)
		}
		seen[name] = true
		differs := r.lead() == ours
		for _, s := range r.steps {
			if _, ok := s.answers[ours]; ok {
				differs = true
			}
		}
		if differs != (r.why != "") {
			t.Errorf("%s: an intended difference needs a reason (why), and a reason a difference", name)
		}
	}
	t.Logf("%d rows", len(rows))
}
