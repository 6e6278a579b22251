package node

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
	"github.com/warren-mq/warren/broker/internal/queue"
	"github.com/warren-mq/warren/broker/internal/routing"
)

// gateTarget is the queues of one group that a message goes to.
type gateTarget struct {
	gate   *gate
	hold   *hold // if not nil, the way there is closed for a moment
	queues []uint64
}

// Publication is a message that was checked and routed, and is not sent yet.
type Publication struct {
	Message *message.Message
	queues  []*metadata.Queue
	ttl     int64 // milliseconds; -1: none
}

// Publish is Prepare and Send in one.
func (l *Link) Publish(channel uint16, number uint64, m *message.Message) (routed bool, err error) {
	p := Publication{Message: m, queues: l.route[:0]}
	err = l.prepare(&p)
	l.route = p.queues
	if err != nil {
		return false, err
	}
	return l.Send(channel, number, &p), nil
}

// Prepare checks a message and finds the queues that it goes to. The link keeps m.
func (l *Link) Prepare(m *message.Message) (*Publication, error) {
	p := &Publication{Message: m}
	if err := l.prepare(p); err != nil {
		return nil, err
	}
	return p, nil
}

func (l *Link) prepare(p *Publication) (err error) {
	if err = l.may(write, anExchange, p.Message.Exchange); err != nil {
		return err
	}
	l.n.topologyMu.RLock()
	f := l.n.topology.MayPublish(l.vhost, p.Message.Exchange)
	l.n.topologyMu.RUnlock()
	if f != nil {
		return f
	}
	if p.ttl, err = expiration(p.Message); err != nil {
		return err
	}
	if err := checkCopies(p.Message); err != nil {
		return err
	}
	if err := l.maySend(p.Message); err != nil {
		return err
	}
	p.queues, err = l.n.routeMessage(l.vhost, p.Message, p.queues)
	return err
}

// Send puts a message on its way; it never blocks. With a number, Session.Confirm
// follows once every queue has it. routed is false if it goes nowhere: then nothing
// follows.
func (l *Link) Send(channel uint16, number uint64, p *Publication) (routed bool) {
	if l.traces() {
		l.traceIn(channel, p.Message, p.queues)
	}
	l.countPublish(p.Message.Exchange, len(p.Message.Body), len(p.queues))
	var t *publishTrace
	if l.n.cfg.Tracer != nil {
		t = l.tracedPublish(p)
	}
	l.groups = l.n.send(p.queues, l.groups[:0], p.Message, p.ttl, func(int) laneCommand {
		return laneCommand{link: l, channel: channel, number: number, trace: t}
	})
	return len(l.groups) > 0
}

// send puts a message into the lanes to its queues, and returns where they are: nowhere
// if there are none. waits says, knowing how many lanes there are, who waits for it.
func (n *Node) send(qs []*metadata.Queue, into []gateTarget, m *message.Message, ttl int64, waits func(lanes int) laneCommand) []gateTarget {
	n.topologyMu.RLock() // or a queue may move in between
	defer n.topologyMu.RUnlock()
	into = n.targets(qs, into)
	if len(into) > 0 {
		n.enqueue(into, m, ttl, waits(len(into)))
	}
	return into
}

// enqueue puts a message into the lanes of all its groups; c says who waits.
func (n *Node) enqueue(groups []gateTarget, m *message.Message, ttl int64, c laneCommand) {
	if len(groups) > 1 && (c.number != 0 || c.trace != nil) {
		c.fan = &fan{left: len(groups), lanes: len(groups)}
	}
	at := n.now()
	now := at.UnixMilli()
	c.at = at.UnixMicro()
	for _, t := range groups {
		cmd := c
		cmd.bytes = queue.AppendEnqueue(make([]byte, 0, m.Size()+64+8*len(t.queues)), t.queues, now, ttl, m)
		if cmd.link != nil {
			cmd.link.bytes.Add(int64(len(cmd.bytes)))
		}
		switch {
		case t.gate == nil:
			n.finish([]laneCommand{cmd}, true)
		case t.hold != nil:
			t.hold.add(cmd)
		default:
			t.gate.add(cmd)
		}
	}
}

// copyHeaders name the headers with more routing keys.
var copyHeaders = [...]string{"CC", "BCC"}

// checkCopies refuses such headers that are no arrays. What is no text in one is ignored.
func checkCopies(m *message.Message) error {
	raw := message.PeekHeaders(m.Properties)
	for _, name := range copyHeaders {
		v, ok := message.FindField(raw, name)
		if _, isList := v.([]any); ok && !isList {
			return fault.New(fault.PreconditionFailed, "invalid message: {unacceptable_type_in_header,\"%s\",%s}", name, message.TypeName(v))
		}
	}
	return nil
}

// routeMessage returns the queues that a message goes to, each once.
func (n *Node) routeMessage(vhost string, m *message.Message, into []*metadata.Queue) ([]*metadata.Queue, error) {
	raw := message.PeekHeaders(m.Properties)
	headers := func() message.Table {
		t, _, err := message.ParseTable(raw)
		if err != nil {
			return nil // CheckProperties has accepted it: can't fail
		}
		return t
	}
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	r := routing.Message{
		Key: m.RoutingKey, Headers: headers, Properties: m.Properties, Random: rand.Uint64(), //nolint:gosec // no secret
		Local: func(dest uint64) bool {
			q := n.topology.QueueByID(dest)
			return q != nil && q.Node == n.cfg.Name
		},
	}
	into, f := n.topology.Route(vhost, m.Exchange, r, into)
	if f != nil {
		return into, f
	}
	for _, name := range copyHeaders {
		keys, _ := message.FindField(raw, name)
		list, _ := keys.([]any)
		for _, k := range list {
			key, isString := k.(string)
			if !isString {
				continue
			}
			r.Key = key
			if into, f = n.topology.Route(vhost, m.Exchange, r, into); f != nil {
				return into, f
			}
		}
	}
	return dedupe(into), nil
}

func dedupe(qs []*metadata.Queue) []*metadata.Queue {
	if len(qs) < 2 {
		return qs
	}
	kept := qs[:0]
	for i, q := range qs {
		again := false
		for _, p := range qs[:i] {
			again = again || p == q
		}
		if !again {
			kept = append(kept, q)
		}
	}
	return kept
}

// targets groups queues by where they are. A transient queue whose node is gone gets
// nothing, as if it were not bound; a durable one has nobody to confirm what it gets. The
// caller holds topologyMu.
func (n *Node) targets(qs []*metadata.Queue, into []gateTarget) []gateTarget {
next:
	for _, q := range qs {
		g, err := n.gateOfLocked(q)
		if err != nil && !q.Durable {
			continue
		}
		h := n.holdOf(q.ID)
		for i := range into {
			if into[i].gate == g && into[i].hold == nil && h == nil {
				into[i].queues = append(into[i].queues, q.ID)
				continue next
			}
		}
		if len(into) < cap(into) {
			into = into[:len(into)+1]
			t := &into[len(into)-1]
			t.gate, t.hold, t.queues = g, h, append(t.queues[:0], q.ID)
			continue
		}
		into = append(into, gateTarget{g, h, []uint64{q.ID}})
	}
	return into
}

// expiration returns the message's time to live in milliseconds, -1 if it has none.
func expiration(m *message.Message) (int64, error) {
	raw, ok := message.PeekExpiration(m.Properties)
	if !ok {
		return -1, nil
	}
	text := string(raw)
	digits := strings.TrimLeft(text, "+-")
	end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(digits)
	}
	number, rest := digits[:end], digits[end:]
	why := ""
	ms, err := strconv.ParseInt(number, 10, 64)
	switch {
	case number == "" || len(text)-len(digits) > 1:
		why = "no_integer"
	case rest != "":
		why = fmt.Sprintf("{leftover_string,%q}", rest)
	case text[0] == '-' && ms != 0:
		why = "{value_negative,-" + number + "}"
	case err != nil || ms > metadata.DurationMsMax:
		why = "{value_too_large," + number + "}"
	default:
		return ms, nil
	}
	return 0, fault.New(fault.PreconditionFailed, "invalid expiration '%s': %s", text, why)
}
