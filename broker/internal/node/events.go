package node

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// Events tell what happens to connections, queues, users and so on. Each node keeps the
// latest of its own, and publishes them to a topic exchange, with RabbitMQ's keys. Events
// of the topology are told by the node that leads it, and written to the log.
const (
	eventExchange = "amq.rabbitmq.event"
	eventsKept    = 500
	eventsWaiting = 4096 // for their publication; what comes beyond is not published
)

// Event is something that happened.
type Event struct {
	Serial uint64 // rises with each event of its node
	At     int64  // Unix milliseconds
	Node   string
	Key    string // such as queue.created
	Fields metadata.Args
}

type events struct {
	mu     sync.Mutex
	serial uint64
	kept   []Event  // oldest first
	queue  chan any // Event, topologyEvent, or a func that publishes something
	budget lineBudget
}

// topologyEvent is a command that was carried out, as its encoding.
type topologyEvent struct {
	command []byte
	changes []metadata.Change
}

// emit tells an event. It never blocks.
func (n *Node) emit(key string, fields ...message.Field) {
	e := n.keepEvent(key, fields)
	select {
	case n.events.queue <- e:
	default: // too many are waiting
	}
}

func (n *Node) keepEvent(key string, fields []message.Field) Event {
	s := &n.events
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	e := Event{Serial: s.serial, At: n.now().UnixMilli(), Node: n.cfg.Name, Key: key, Fields: metadata.Args{Table: fields}}
	if len(s.kept) == eventsKept {
		s.kept = slices.Delete(s.kept, 0, eventsKept/10) // a tenth at once: not one by one
	}
	s.kept = append(s.kept, e)
	return e
}

// eventsHere returns the latest events of this node, of those after a serial. One that this
// run of the node has not come to is of an earlier run.
func (n *Node) eventsHere(after uint64) []Event {
	s := &n.events
	s.mu.Lock()
	defer s.mu.Unlock()
	if after > s.serial {
		after = 0
	}
	i, _ := slices.BinarySearchFunc(s.kept, after+1, func(e Event, serial uint64) int { return cmp.Compare(e.Serial, serial) })
	return slices.Clone(s.kept[i:])
}

// ListEvents returns the latest events of the whole cluster, oldest first: those behind the
// serials that after has for the nodes. Times would not do for that: clocks differ.
func (n *Node) ListEvents(ctx context.Context, after map[string]uint64) Listing[Event] {
	var mu sync.Mutex
	var all []Event
	add := func(list []Event) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, list...)
	}
	missing := n.eachNode(ctx, call{Op: callEvents, After: after}, func() { add(n.eventsHere(after[n.cfg.Name])) }, func(r callReply) { add(r.Events) })
	slices.SortStableFunc(all, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Serial, b.Serial))
	})
	return Listing[Event]{all, missing}
}

// commanded tells the events of a command of the topology. A worker calls it.
func (n *Node) commanded(command []byte, r *metadata.Result) {
	if n.metaLeader.Load() != n.id.Replica || r.Fault != nil {
		return
	}
	select {
	case n.events.queue <- topologyEvent{command, r.Changes}:
	default:
	}
}

// tellEvents publishes events until the node stops.
func (n *Node) tellEvents() {
	for {
		select {
		case x := <-n.events.queue:
			switch e := x.(type) {
			case Event:
				n.publishEvent(e)
			case func():
				e()
			case topologyEvent:
				for _, t := range told(&e) {
					n.publishEvent(n.keepEvent(t.key, t.fields))
					n.logEvent(t.key, t.fields)
				}
			}
		case <-n.stopped:
			return
		}
	}
}

// logEvent writes an event to the log, as one line.
func (n *Node) logEvent(key string, fields []message.Field) {
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		attrs = append(attrs, slog.Any(f.Key, f.Value))
	}
	n.cfg.Logger.LogAttrs(n.ctx, slog.LevelInfo, key, attrs...)
}

// publishEvent publishes an event to whoever has bound a queue to the events' exchange.
func (n *Node) publishEvent(e Event) {
	if !n.hasBindings("/", eventExchange) {
		return
	}
	p := message.Properties{
		Flags: message.HasHeaders | message.HasDeliveryMode | message.HasTimestamp, DeliveryMode: message.Persistent,
		Timestamp: message.Timestamp(time.UnixMilli(e.At).Unix()), Headers: append(slices.Clone(e.Fields.Table),
			message.Field{Key: "timestamp_in_ms", Value: e.At}, message.Field{Key: "node", Value: e.Node}),
	}
	n.broadcast("/", &message.Message{Exchange: eventExchange, RoutingKey: e.Key, Properties: p.Append(nil)})
}

func (n *Node) hasBindings(vhost, exchange string) bool {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	x, missing := n.topology.Exchange(vhost, exchange)
	return missing == nil && len(x.Bindings) > 0
}

// broadcast publishes a message of the broker's own. Nobody waits for it.
func (n *Node) broadcast(vhost string, m *message.Message) {
	qs, err := n.routeMessage(vhost, m, nil)
	if err != nil || len(qs) == 0 {
		return
	}
	n.send(qs, nil, m, -1, func(int) laneCommand { return laneCommand{} })
}

// telling is an event that is to be told.
type telling struct {
	key    string
	fields []message.Field
}

func field(key string, v any) message.Field { return message.Field{Key: key, Value: v} }

// told returns the events of a command.
func told(e *topologyEvent) []telling {
	var c metadata.Command
	if json.Unmarshal(e.command, &c) != nil {
		return nil // it was applied: can't fail
	}
	var all []telling
	tell := func(key string, fields ...message.Field) { all = append(all, telling{key, fields}) }
	for _, ch := range e.changes {
		switch {
		case ch.Kind == metadata.QueueSet && c.QueueDeclare != nil && !ch.Queue.Internal:
			q := ch.Queue
			tell("queue.created", field("name", q.Name), field("vhost", q.VHost), field("type", string(q.Type())), field("durable", q.Durable),
				field("auto_delete", q.AutoDelete), field("exclusive", q.Exclusive()), field("arguments", q.Args.Table))
		case ch.Kind == metadata.QueueGone && !ch.Queue.Internal:
			tell("queue.deleted", field("name", ch.Queue.Name), field("vhost", ch.Queue.VHost))
		case ch.Kind == metadata.NodeSet && (c.NodeUp != nil || c.NodeJoin != nil):
			tell("node.up", field("node", ch.Node))
		case ch.Kind == metadata.NodeSet && c.NodeDrain != nil:
			tell(map[bool]string{true: "maintenance.draining", false: "maintenance.revived"}[c.NodeDrain.On], field("node", ch.Node))
		case ch.Kind == metadata.NodeGone:
			tell("node.removed", field("node", ch.Node))
		}
	}
	binding := func(key string, b *metadata.BindCommand) {
		kind := "queue"
		if b.Binding.ToExchange {
			kind = "exchange"
		}
		tell(key, field("vhost", b.VHost), field("source_name", b.Binding.Source), field("source_kind", "exchange"), field("destination_name", b.Binding.Destination),
			field("destination_kind", kind), field("routing_key", b.Binding.Key), field("arguments", b.Binding.Args.Table))
	}
	switch {
	case c.ExchangeDeclare != nil:
		x := &c.ExchangeDeclare.Exchange
		tell("exchange.created", field("name", x.Name), field("vhost", x.VHost), field("type", x.Type), field("durable", x.Durable),
			field("auto_delete", x.AutoDelete), field("internal", x.Internal), field("arguments", x.Args.Table))
	case c.ExchangeDelete != nil:
		tell("exchange.deleted", field("name", c.ExchangeDelete.Name), field("vhost", c.ExchangeDelete.VHost))
	case c.Bind != nil:
		binding("binding.created", c.Bind)
	case c.Unbind != nil:
		binding("binding.deleted", c.Unbind)
	case c.PolicySet != nil:
		p := c.PolicySet
		tell("policy.set", field("name", p.Name), field("vhost", p.VHost), field("pattern", p.Pattern), field("apply-to", p.ApplyTo), field("operator", p.Operator))
	case c.PolicyClear != nil:
		tell("policy.cleared", field("name", c.PolicyClear.Name), field("vhost", c.PolicyClear.VHost), field("operator", c.PolicyClear.Operator))
	default:
		toldAccess(&c, tell)
	}
	return all
}

// toldAccess tells of users and virtual hosts.
func toldAccess(c *metadata.Command, tell func(string, ...message.Field)) {
	switch {
	case c.VHostPut != nil:
		tell("vhost.created", field("name", c.VHostPut.Name)) // or changed
	case c.VHostDelete != nil:
		tell("vhost.deleted", field("name", c.VHostDelete.Name))
	case c.UserPut != nil:
		tell("user.created", field("name", c.UserPut.Name)) // or changed
	case c.UserDelete != nil:
		tell("user.deleted", field("name", c.UserDelete.Name))
	case c.PermissionSet != nil:
		p := c.PermissionSet
		tell("permission.created", field("user", p.User), field("vhost", p.VHost), field("configure", p.Permission.Configure),
			field("write", p.Permission.Write), field("read", p.Permission.Read))
	case c.PermissionClear != nil:
		tell("permission.deleted", field("user", c.PermissionClear.User), field("vhost", c.PermissionClear.VHost))
	case c.TopicPermissionSet != nil:
		p := c.TopicPermissionSet
		tell("topic.permission.created", field("user", p.User), field("vhost", p.VHost), field("exchange", p.Exchange))
	case c.TopicPermissionClear != nil:
		tell("topic.permission.deleted", field("user", c.TopicPermissionClear.User), field("vhost", c.TopicPermissionClear.VHost))
	case c.LimitSet != nil && c.LimitSet.User != "":
		tell("user.limits.set", field("name", c.LimitSet.User), field("limit", c.LimitSet.Name), field("value", c.LimitSet.Value))
	case c.LimitSet != nil:
		tell("vhost.limits.set", field("name", c.LimitSet.VHost), field("limit", c.LimitSet.Name), field("value", c.LimitSet.Value))
	case c.LimitClear != nil && c.LimitClear.User != "":
		tell("user.limits.cleared", field("name", c.LimitClear.User))
	case c.LimitClear != nil:
		tell("vhost.limits.cleared", field("name", c.LimitClear.VHost))
	case c.GlobalSet != nil:
		tell("parameter.set", field("name", c.GlobalSet.Name))
	case c.GlobalClear != nil:
		tell("parameter.cleared", field("name", c.GlobalClear.Name))
	}
}

// emitAlarms tells of the alarms that came and went.
func (n *Node) emitAlarms(was, now Alarm) {
	for kind, name := range map[Alarm]string{MemoryAlarm: "memory", DiskAlarm: "disk"} {
		switch {
		case now&kind != 0 && was&kind == 0:
			n.emit("alarm.set", field("resource", name), field("node", n.cfg.Name))
		case now&kind == 0 && was&kind != 0:
			n.emit("alarm.cleared", field("resource", name), field("node", n.cfg.Name))
		}
	}
}
