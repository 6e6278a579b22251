package node

import (
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// The firehose copies what is published and delivered in a virtual host to an exchange of
// that virtual host, while the operator has it on. Without any it costs a look at one
// pointer. Copies are made one after the other, beside the clients; if too many wait, the
// rest is not copied.
const (
	traceExchange = "amq.rabbitmq.trace"
	keyBytesMax   = 255
)

// retrace notes in which virtual hosts the firehose is on.
func (n *Node) retrace() {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	var on map[string]bool
	for name, v := range n.topology.VHosts {
		if v.Tracing {
			if on == nil {
				on = map[string]bool{}
			}
			on[name] = true
		}
	}
	if on == nil {
		n.traced.Store(nil)
		return
	}
	n.traced.Store(&on)
}

// traces reports whether the firehose wants the link's messages.
func (l *Link) traces() bool {
	on := l.n.traced.Load()
	return on != nil && (*on)[l.vhost]
}

// traceIn copies a message that came.
func (l *Link) traceIn(channel uint16, m *message.Message, queues []*metadata.Queue) {
	routed := make([]any, 0, len(queues))
	for _, q := range queues {
		routed = append(routed, q.Name)
	}
	l.trace("publish."+m.Exchange, m, channel, message.Field{Key: "routed_queues", Value: routed})
}

// traceOut copies a delivery.
func (l *Link) traceOut(c *Consumer, d *Delivery) {
	redelivered := int64(0)
	if d.Redelivered {
		redelivered = 1
	}
	l.trace("deliver."+c.Queue, d.Message, c.Channel, message.Field{Key: "redelivered", Value: redelivered})
}

func (l *Link) trace(key string, m *message.Message, channel uint16, more message.Field) {
	if m.Exchange == traceExchange {
		return // a copy is not copied again
	}
	// The caller may hold a gate, which the copy's queue may be behind, too.
	select {
	case l.n.events.queue <- func() { l.copyTo(key, m, channel, more) }:
	default: // too many are waiting
	}
}

// copyTo publishes a copy.
func (l *Link) copyTo(key string, m *message.Message, channel uint16, more message.Field) {
	if !l.n.hasBindings(l.vhost, traceExchange) {
		return
	}
	p, err := message.ParseProperties(m.Properties)
	if err != nil {
		return // it was checked when it came
	}
	keys := []any{m.RoutingKey}
	for _, k := range copies(m) {
		keys = append(keys, k)
	}
	headers := message.Table{
		{Key: "exchange_name", Value: m.Exchange}, {Key: "routing_keys", Value: keys}, {Key: "properties", Value: propertyTable(&p)},
		{Key: "node", Value: l.n.cfg.Name}, {Key: "vhost", Value: l.vhost}, {Key: "connection", Value: l.info.Name},
		{Key: "channel", Value: int32(channel)}, {Key: "user", Value: l.user}, more,
	}
	props := message.Properties{Flags: message.HasHeaders, Headers: headers}
	l.n.broadcast(l.vhost, &message.Message{Exchange: traceExchange, RoutingKey: key[:min(len(key), keyBytesMax)], Properties: props.Append(nil), Body: m.Body})
}

// propertyTable returns a message's properties as a table.
func propertyTable(p *message.Properties) message.Table {
	t := message.Table{}
	for _, s := range [...]struct {
		flag  message.Flag
		key   string
		value any
	}{
		{message.HasContentType, "content_type", p.ContentType}, {message.HasContentEncoding, "content_encoding", p.ContentEncoding},
		{message.HasHeaders, "headers", p.Headers}, {message.HasDeliveryMode, "delivery_mode", int32(p.DeliveryMode)},
		{message.HasPriority, "priority", int32(p.Priority)}, {message.HasCorrelationID, "correlation_id", p.CorrelationID},
		{message.HasReplyTo, "reply_to", p.ReplyTo}, {message.HasExpiration, "expiration", p.Expiration}, {message.HasMessageID, "message_id", p.MessageID},
		{message.HasTimestamp, "timestamp", p.Timestamp}, {message.HasType, "type", p.Type}, {message.HasUserID, "user_id", p.UserID},
		{message.HasAppID, "app_id", p.AppID}, {message.HasClusterID, "cluster_id", p.ClusterID},
	} {
		if p.Has(s.flag) {
			t = append(t, message.Field{Key: s.key, Value: s.value})
		}
	}
	return t
}
