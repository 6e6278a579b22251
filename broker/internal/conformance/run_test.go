package conformance

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
)

// target is the broker to talk to.
type target struct {
	amqp, http string // host:port
	dialect    dialect
	patience   time.Duration // for an answer that takes no time
	settle     time.Duration // after a change over HTTP, which RabbitMQ makes in the background
	leftovers  bool          // the broker outlives the test: clean up
	silence    time.Duration // to wait after a step without an answer: RabbitMQ's channels and queues are apart
}

const (
	// quietTime without an event ends an answer that is being recorded.
	quietTime = 300 * time.Millisecond
	// lateTime is for what else comes when an answer is wrong anyway.
	lateTime      = 100 * time.Millisecond
	eventsMax     = 10000
	probeTag      = "conformance-probe"
	httpTimeout   = 10 * time.Second
	slowReserve   = 3 // how much longer than recorded a slow answer may take
	prefixLetters = "abcdefghjkmnpqrstuvwxyz"
	prefixLen     = 6
)

// talk is one row's conversation with a target.
type talk struct {
	t      target
	row    *row
	prefix string
	events chan event
	conns  map[string]*conn
	ahead  []event           // read, not yet looked at
	made   map[string]string // names that the broker made up, to our name for them
	undo   []func()
	policy []string // paths to delete
}

func newTalk(t target, r *row) *talk {
	p := make([]byte, prefixLen)
	for i := range p {
		p[i] = prefixLetters[rand.IntN(len(prefixLetters))]
	}
	p[prefixLen-1] = '-'
	return &talk{
		t: t, row: r, prefix: string(p), events: make(chan event, eventsMax), conns: map[string]*conn{}, made: map[string]string{},
	}
}

// record talks and returns what came back after each step.
func (k *talk) record() ([][]string, error) {
	defer k.close()
	var all [][]string
	for i, s := range k.row.steps {
		lines, err := k.do(s)
		if err != nil {
			return nil, fmt.Errorf("step %d: %s: %w", i+1, s.text, err)
		}
		lines = append(lines, k.until(quietTime+s.slow)...)
		all = append(all, sorted(lines))
	}
	return all, nil
}

// replay talks and compares. The error says which step went wrong, and how.
func (k *talk) replay() error {
	defer k.close()
	for i, s := range k.row.steps {
		want, ok := s.expected(k.t.dialect)
		if !ok {
			return fmt.Errorf("the row was never recorded")
		}
		got, err := k.do(s)
		if err != nil {
			return fmt.Errorf("step %d: %s: %w", i+1, s.text, err)
		}
		deadline := time.After(k.t.patience + slowReserve*s.slow)
		for !differ(got, want) && len(got) < len(want) {
			line, ok := k.next(deadline)
			if !ok {
				break
			}
			got = append(got, line)
		}
		if len(want) == 0 {
			time.Sleep(k.t.silence)
		}
		if slices.Equal(sorted(got), want) && k.probeAfter(i) {
			got = append(got, k.probe(s)...)
		}
		if got = sorted(got); !slices.Equal(got, want) {
			got = sorted(append(got, k.until(lateTime)...))
			return fmt.Errorf("step %d: > %s\nwant %s\ngot  %s", i+1, s.text, strings.Join(want, "\n     "), strings.Join(got, "\n     "))
		}
	}
	return nil
}

// differ says that got can't become want by more lines.
func differ(got, want []string) bool {
	place := map[string]int{}
	byPlace := map[string][]string{}
	for _, l := range want {
		byPlace[placeOf(l)] = append(byPlace[placeOf(l)], l)
	}
	for _, l := range got {
		p := placeOf(l)
		if w := byPlace[p]; place[p] >= len(w) || w[place[p]] != l {
			return true
		}
		place[p]++
	}
	return false
}

// placeOf returns a line's connection and channel: the order of lines counts only within.
func placeOf(line string) string {
	w := strings.SplitN(line, " ", 3)
	if len(w) < 3 {
		return w[0] + " ~" // the connection's end comes last
	}
	return w[0] + " " + w[1]
}

func sorted(lines []string) []string {
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(placeOf(a), placeOf(b)) })
	return lines
}

// probeAfter says if a round trip must show that step i is done: when another channel
// goes on, and at the end.
func (k *talk) probeAfter(i int) bool {
	if k.row.manual {
		return false
	}
	if i+1 == len(k.row.steps) {
		return true
	}
	return placeOf(k.row.steps[i].text) != placeOf(k.row.steps[i+1].text)
}

// probe makes a round trip on the step's channel, and returns what else came meanwhile.
func (k *talk) probe(s *step) (lines []string) {
	words := fields(s.text)
	c := k.conns[words[0]]
	if c == nil || c.closed || len(words) < 3 || words[2] == "method" || words[2] == "header" {
		return nil
	}
	n, err := strconv.ParseUint(words[1], 10, 16)
	if err != nil || n == 0 || !c.channels[uint16(n)] {
		return nil
	}
	if c.send(uint16(n), &amqp.BasicCancel{ConsumerTag: probeTag}) != nil {
		return nil
	}
	deadline := time.After(k.t.patience)
	for {
		line, ok := k.next(deadline)
		if !ok || strings.HasSuffix(line, "basic.cancel-ok consumer_tag="+probeTag) {
			return lines
		}
		lines = append(lines, line)
	}
}

// until returns what comes until nothing has come for so long.
func (k *talk) until(quiet time.Duration) (lines []string) {
	for {
		line, ok := k.next(time.After(quiet))
		if !ok {
			return lines
		}
		lines = append(lines, line)
	}
}

// next returns the next event as a line; false if there is none before the deadline.
func (k *talk) next(deadline <-chan time.Time) (string, bool) {
	e, ok := k.event(deadline)
	if !ok {
		return "", false
	}
	where := e.conn.name
	if e.channel >= 0 {
		where += " " + strconv.Itoa(e.channel)
	}
	return where + " " + k.normalise(e.line), true
}

func (k *talk) event(deadline <-chan time.Time) (event, bool) {
	if len(k.ahead) > 0 {
		e := k.ahead[0]
		k.ahead = k.ahead[1:]
		return e, true
	}
	select {
	case e := <-k.events:
		k.note(e)
		return e, true
	case <-deadline:
		return event{}, false
	}
}

// note keeps what an event changes.
func (k *talk) note(e event) {
	switch {
	case e.line == "closed", e.method == amqp.IDConnectionClose:
		e.conn.closed = true
	case e.method == amqp.IDConnectionCloseOK:
		e.conn.closed = true
		_ = e.conn.net.Close()
	case e.method == amqp.IDChannelClose, e.method == amqp.IDChannelCloseOK:
		delete(e.conn.channels, uint16(e.channel))
	case e.method == amqp.IDChannelOpenOK:
		e.conn.channels[uint16(e.channel)] = true
	}
}

// await reads on until an event of that kind; others are kept for later.
func (k *talk) await(c *conn, channel int, ids ...amqp.MethodID) (event, error) {
	var seen []event
	defer func() { k.ahead = append(seen, k.ahead...) }()
	deadline := time.After(httpTimeout)
	for {
		e, ok := k.event(deadline)
		switch {
		case !ok:
			return e, fmt.Errorf("no %v", ids)
		case e.conn == c && e.channel == channel && slices.Contains(ids, e.method):
			return e, nil
		case e.conn == c && c.closed:
			seen = append(seen, e)
			return e, nil
		}
		seen = append(seen, e)
	}
}

// remember notes what a row leaves behind on a broker that outlives it.
func (k *talk) remember(m amqp.Method) {
	switch m := m.(type) {
	case *amqp.QueueDeclare:
		k.policy = append(k.policy, "/api/queues/%2F/"+url.PathEscape(m.Queue))
	case *amqp.ExchangeDeclare:
		k.policy = append(k.policy, "/api/exchanges/%2F/"+url.PathEscape(m.Exchange))
	}
}

// close ends all connections and, where it matters, what they have made.
func (k *talk) close() {
	for _, c := range k.conns {
		_ = c.net.Close()
	}
	if !k.t.leftovers {
		return
	}
	for _, path := range slices.Backward(k.policy) {
		if strings.Contains(path, k.prefix) {
			_, _, _ = k.request(http.MethodDelete, path, "") // most are gone
		}
	}
}
