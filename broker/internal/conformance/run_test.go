package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
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

// do performs a step, and returns the lines that belong to it by themselves.
func (k *talk) do(s *step) ([]string, error) {
	line := strings.ReplaceAll(s.text, "@", k.prefix)
	for name, alias := range k.made {
		line = strings.ReplaceAll(line, alias, name)
	}
	line = expand(line)
	name, args, _ := strings.Cut(line, " ")
	switch name {
	case "http":
		return k.http(args)
	case "pause":
		d, err := time.ParseDuration(args)
		time.Sleep(d)
		return nil, err
	}
	words := fields(args)
	c := k.conns[name]
	if c == nil {
		if words[0] == "open" {
			return k.open(name, words[1:], true)
		}
		if !k.row.manual && words[0] != "dial" {
			if _, err := k.open(name, nil, false); err != nil {
				return nil, err
			}
			c = k.conns[name]
		} else {
			var err error
			if c, err = dial(k.row, name, k.t.amqp, k.events); err != nil {
				return nil, err
			}
			k.conns[name] = c
		}
	}
	switch words[0] {
	case "dial":
		return nil, nil
	case "greet":
		h := amqp.Header()
		if err := c.write(h[:]); err != nil {
			return nil, err
		}
		_, err := k.await(c, 0, amqp.IDConnectionStart)
		return nil, err
	case "drop":
		c.closed = true
		return nil, c.net.Close()
	case "hex":
		b, err := splitBytes(words[1:])
		if err == nil {
			_ = c.write(b) // the broker may have closed: its answer tells
		}
		return nil, err
	case "frame":
		return nil, k.rawFrame(c, words[1:])
	}
	n, err := strconv.ParseUint(words[0], 10, 16)
	if err != nil {
		return nil, err
	}
	return nil, k.onChannel(c, uint16(n), words[1:])
}

// rawFrame sends a frame of any type.
func (k *talk) rawFrame(c *conn, words []string) error {
	v := map[string]string{}
	for _, w := range words {
		key, s, _ := strings.Cut(w, "=")
		v[key] = s
	}
	kind, _ := strconv.ParseUint(v["type"], 10, 8)
	channel, _ := strconv.ParseUint(v["channel"], 10, 16)
	payload, err := splitBytes([]string{v["payload"]})
	if err != nil {
		return err
	}
	b, at := amqp.BeginFrame(nil, uint8(kind), uint16(channel))
	b = amqp.EndFrame(append(b, payload...), at)
	if v["end"] != "" {
		end, err := strconv.ParseUint(v["end"], 16, 8)
		if err != nil {
			return err
		}
		b[len(b)-1] = byte(end)
	}
	_ = c.write(b) // the broker may have closed: its answer tells
	return nil
}

// onChannel sends a method, with content if it is one that has any, or a part of such.
func (k *talk) onChannel(c *conn, n uint16, words []string) error {
	if !k.row.manual && n > 0 && !c.channels[n] && words[0] != "channel.open" && !c.closed {
		if err := c.send(n, &amqp.ChannelOpen{}); err != nil {
			return nil //nolint:nilerr // closed: its answer tells
		}
		if _, err := k.await(c, int(n), amqp.IDChannelOpenOK); err != nil {
			return err
		}
	}
	var frames []byte
	switch words[0] {
	case "body":
		s, err := text(words[1])
		if err != nil {
			return err
		}
		frames = amqp.AppendBodyEnd(append(amqp.AppendBodyStart(nil, n, len(s)), s...))
	case "header":
		b, err := rawHeader(n, words[1:])
		if err != nil {
			return err
		}
		frames = b
	default:
		bare := words[0] == "method"
		if bare {
			words = words[1:]
		}
		m, r, err := buildMethod(words[0], words[1:])
		if err != nil {
			return err
		}
		frames = amqp.AppendMethod(nil, n, m)
		if m.ID() == amqp.IDBasicPublish && !bare {
			props, err := buildProperties(r)
			if err != nil {
				return err
			}
			frames = appendContent(frames, n, props, r.other["body"])
			r.other = nil
		}
		k.remember(m)
	}
	_ = c.write(frames) // the broker may have closed: its answer tells
	return nil
}

const bodyFrameMax = 131072 - amqp.FrameOverhead

func appendContent(b []byte, n uint16, props []byte, body string) []byte {
	b = amqp.AppendContent(b, n, len(body), props)
	for len(body) > 0 {
		part := body[:min(len(body), bodyFrameMax)]
		body = body[len(part):]
		b = amqp.AppendBodyEnd(append(amqp.AppendBodyStart(b, n, len(part)), part...))
	}
	return b
}

// rawHeader makes a content header whose class, weight, size and flags are as given.
func rawHeader(n uint16, words []string) ([]byte, error) {
	r := rest{other: map[string]string{"class": "60", "weight": "0", "size": "0"}}
	for _, w := range words {
		key, s, _ := strings.Cut(w, "=")
		r.other[key] = s
	}
	class, err1 := strconv.ParseUint(r.other["class"], 10, 16)
	weight, err2 := strconv.ParseUint(r.other["weight"], 10, 16)
	size, err3 := strconv.ParseUint(r.other["size"], 10, 64)
	props, err4 := buildProperties(r)
	if raw, ok := r.other["raw"]; ok {
		props, err4 = splitBytes([]string{raw})
	}
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return nil, err
		}
	}
	b, at := amqp.BeginFrame(nil, amqp.FrameHeader, n)
	b = append(b, byte(class>>8), byte(class), byte(weight>>8), byte(weight))
	for i := 56; i >= 0; i -= 8 {
		b = append(b, byte(size>>i))
	}
	return amqp.EndFrame(append(b, props...), at), nil
}

// open opens a connection. tell says that the row wants to see it succeed.
func (k *talk) open(name string, words []string, tell bool) ([]string, error) {
	v := map[string]string{}
	for _, w := range words {
		key, s, _ := strings.Cut(w, "=")
		v[key] = s
	}
	l, err := newLogin(v)
	if err != nil {
		return nil, err
	}
	c, err := dial(k.row, name, k.t.amqp, k.events)
	if err != nil {
		return nil, err
	}
	k.conns[name] = c
	h := amqp.Header()
	if err := c.write(h[:]); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		await amqp.MethodID
		send  []amqp.Method
	}{
		{amqp.IDConnectionStart, []amqp.Method{l.startOK()}},
		{amqp.IDConnectionTune, []amqp.Method{&l.tune, &amqp.ConnectionOpen{VirtualHost: l.vhost}}},
		{amqp.IDConnectionOpenOK, nil},
	} {
		if _, err := k.await(c, 0, step.await); err != nil {
			return nil, err
		}
		if c.closed {
			if !tell {
				return nil, fmt.Errorf("connection refused")
			}
			return nil, nil
		}
		for _, m := range step.send {
			if err := c.send(0, m); err != nil {
				return nil, err
			}
		}
	}
	if tell {
		return []string{name + " opened"}, nil
	}
	return nil, nil
}

// http performs METHOD PATH [BODY].
func (k *talk) http(args string) ([]string, error) {
	method, args, _ := strings.Cut(args, " ")
	path, body, _ := strings.Cut(args, " ")
	status, answer, err := k.request(method, path, body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPut && status < 300 {
		k.policy = append(k.policy, path)
	}
	line := "http " + strconv.Itoa(status)
	if status >= 400 {
		line += " " + k.normalise(answer)
	}
	time.Sleep(k.t.settle)
	return []string{line}, nil
}

func (k *talk) request(method, path, body string) (status int, answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), httpTimeout)
	defer cancel()
	u, err := url.Parse("http://" + k.t.http + path)
	if err != nil {
		return 0, "", err
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.SetBasicAuth("guest", "guest")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", err
	}
	var compact bytes.Buffer
	if json.Compact(&compact, b) == nil {
		b = compact.Bytes()
	}
	return resp.StatusCode, string(b), nil
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

var (
	generated = regexp.MustCompile(`amq\.(gen-|ctag-|rabbitmq\.reply-to\.)[A-Za-z0-9_.+/=-]{8,}`)
	replyName = regexp.MustCompile(`"(amq\.rabbitmq\.reply-to\.#\d+)"`) // what is behind the last dot may need quotes, or not
	deathTime = regexp.MustCompile(`\btime:time=\d+`)
	nodeName  = regexp.MustCompile(`(rabbit|oracle|broker-\d)@[A-Za-z0-9-]+`)
	product   = regexp.MustCompile(`(cluster_name|copyright|information|platform|product|version):str=("(\\.|[^"])*"|\S+)`)
	serial    = map[string]string{"gen-": "amq.gen-#", "ctag-": "amq.ctag-#", "rabbitmq.reply-to.": "amq.rabbitmq.reply-to.#"}
)

// normalise replaces what is different in each run.
func (k *talk) normalise(line string) string {
	line = strings.ReplaceAll(line, k.prefix, "@")
	line = generated.ReplaceAllStringFunc(line, func(name string) string {
		if alias, ok := k.made[name]; ok {
			return alias
		}
		kind := generated.FindStringSubmatch(name)[1]
		n := 1
		for _, alias := range k.made {
			if strings.HasPrefix(alias, serial[kind]) {
				n++
			}
		}
		k.made[name] = serial[kind] + strconv.Itoa(n)
		return k.made[name]
	})
	line = replyName.ReplaceAllString(line, "$1")
	line = deathTime.ReplaceAllString(line, "time:time=0")
	line = nodeName.ReplaceAllString(line, "node@host")
	if strings.Contains(line, "connection.start ") {
		line = product.ReplaceAllString(line, "$1:str=…")
	}
	return shorten(line)
}
