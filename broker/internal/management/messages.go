package management

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

// Limits of what one request fetches, moves or carries.
const (
	getMax          = 10_000
	getBytesMax     = 64 << 20
	moveMax         = 1_000_000
	messageBytesMax = 32 << 20 // of a request with a message, which base64 makes longer
)

// published is a message in a request.
type published struct {
	Properties properties `json:"properties"`
	Key        *string    `json:"routing_key"`
	Payload    *string    `json:"payload"`
	Encoding   *string    `json:"payload_encoding"`
}

func (p *published) message(exchange string) (*message.Message, error) {
	if err := keysMissing("routing_key", p.Key, "payload", p.Payload, "payload_encoding", p.Encoding); err != nil {
		return nil, err
	}
	body := []byte(*p.Payload)
	switch *p.Encoding {
	case "string":
	case "base64":
		var err error
		if body, err = base64.StdEncoding.DecodeString(*p.Payload); err != nil {
			return nil, fault.New(fault.PreconditionFailed, "payload is not base64: %v", err)
		}
	default:
		return nil, fault.New(fault.PreconditionFailed, "payload_encoding is %q; allowed are string and base64", *p.Encoding)
	}
	props, err := toProperties(p.Properties)
	if err != nil {
		return nil, err
	}
	return &message.Message{Exchange: exchange, RoutingKey: *p.Key, Properties: props.Append(nil), Body: body}, nil
}

// publish publishes a message, and says if it went anywhere.
func (h *handler) publish(w http.ResponseWriter, r *request) error {
	var body published
	if err := read(r, &body); err != nil {
		return err
	}
	m, err := body.message(exchangeParam(r))
	if err != nil {
		return err
	}
	var routed bool
	err = h.act(r, func(a *node.Actor) (err error) {
		routed, err = a.PublishNow(r.Context(), m)
		return err
	})
	if err == nil {
		write(w, http.StatusOK, map[string]bool{"routed": routed})
	}
	return err
}

// routes says where a message would go.
func (h *handler) routes(w http.ResponseWriter, r *request) error {
	r.changesNothing = true
	var body published
	if err := read(r, &body); err != nil {
		return err
	}
	none := ""
	encoding := "string"
	if body.Payload == nil {
		body.Payload = &none
	}
	if body.Encoding == nil {
		body.Encoding = &encoding
	}
	m, err := body.message(exchangeParam(r))
	if err != nil {
		return err
	}
	queues, err := h.b.Node().Routes(param(r, "vhost"), m)
	if err == nil {
		slices.Sort(queues)
		write(w, http.StatusOK, map[string]any{"queues": notNil(queues)})
	}
	return err
}

// ackModes say whether a fetched message stays in the queue, and whether that counts as a
// failed delivery.
var ackModes = map[string]struct {
	outcome node.Outcome
	removed bool
}{
	"ack_requeue_true": {node.Requeue, false}, "ack_requeue_false": {node.Ack, true},
	"reject_requeue_true": {node.Failed, false}, "reject_requeue_false": {node.Discard, true},
}

// peekMode is the ackmode that only shows messages: they are not fetched, count as neither
// delivered nor redelivered, and nothing is settled.
const peekMode = "peek"

// peekMessages shows messages from a position on.
func (h *handler) peekMessages(w http.ResponseWriter, r *request, skip, count int, base bool, truncate *number) error {
	if skip < 0 || skip > node.PeekSkipMax || count > node.PeekMax {
		return fault.New(fault.PreconditionFailed, "with ackmode peek, count is 1 to %d, and offset 0 to %d", node.PeekMax, node.PeekSkipMax)
	}
	var found []node.Delivery
	err := h.act(r, func(a *node.Actor) (err error) {
		found, err = a.Peek(r.Context(), param(r, "name"), skip, count)
		return err
	})
	if err != nil {
		return err
	}
	ready := 0
	if q, err := h.findQueue(w, r, false); err == nil {
		ready = q.Ready
	}
	list := make([]map[string]any, 0, len(found))
	for i := range found {
		m := messageJSON(&found[i], max(ready-skip-i-1, 0), base, truncate)
		m["position"] = skip + i + 1
		list = append(list, m)
	}
	write(w, http.StatusOK, list)
	return nil
}

// getMessages fetches messages, and settles them as the client says.
func (h *handler) getMessages(w http.ResponseWriter, r *request) error {
	var body struct {
		Count    *number `json:"count"`
		AckMode  *string `json:"ackmode"`
		Requeue  *flag   `json:"requeue"` // of clients before 3.7
		Encoding *string `json:"encoding"`
		Truncate *number `json:"truncate"`
		Offset   number  `json:"offset"` // peek: how many messages are left out before
	}
	if err := h.queueThere(r); err != nil {
		return err
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if body.AckMode == nil && body.Requeue != nil {
		mode := "ack_requeue_false"
		if *body.Requeue {
			mode = "ack_requeue_true"
		}
		body.AckMode = &mode
	}
	if err := keysMissing("count", body.Count, "ackmode", body.AckMode, "encoding", body.Encoding); err != nil {
		return err
	}
	mode, ok := ackModes[*body.AckMode]
	switch {
	case !ok && *body.AckMode != peekMode:
		return fault.New(fault.PreconditionFailed,
			"ackmode is %q; allowed are peek, ack_requeue_true, ack_requeue_false, reject_requeue_true and reject_requeue_false", *body.AckMode)
	case *body.Encoding != "auto" && *body.Encoding != "base64":
		return fault.New(fault.PreconditionFailed, "encoding is %q; allowed are auto and base64", *body.Encoding)
	case *body.Count < 1 || *body.Count > getMax:
		return fault.New(fault.PreconditionFailed, "count is %d; allowed are 1 to %d", *body.Count, getMax)
	}
	r.changesNothing = !mode.removed
	if *body.AckMode == peekMode {
		return h.peekMessages(w, r, int(body.Offset), int(*body.Count), *body.Encoding == "base64", body.Truncate)
	}
	list := []map[string]any{}
	bytes := 0
	err := h.act(r, func(a *node.Actor) error {
		for len(list) < int(*body.Count) && bytes < getBytesMax {
			c, d, left, ok, err := a.Get(r.Context(), param(r, "name"), false)
			if err != nil || !ok {
				return err
			}
			// What goes back stays with the actor until all are fetched: else the same comes
			// again.
			if mode.removed {
				a.Settle(c, []uint64{d.Seq}, mode.outcome)
			} else {
				defer a.Settle(c, []uint64{d.Seq}, mode.outcome)
			}
			bytes += len(d.Message.Body)
			list = append(list, messageJSON(&d, int(left), *body.Encoding == "base64", body.Truncate))
		}
		return nil
	})
	if err == nil {
		write(w, http.StatusOK, list)
	}
	return err
}

func messageJSON(d *node.Delivery, left int, base bool, truncate *number) map[string]any {
	m := map[string]any{
		"payload_bytes": len(d.Message.Body), "redelivered": d.Redelivered, "exchange": d.Message.Exchange,
		"routing_key": strings.ToValidUTF8(d.Message.RoutingKey, "\ufffd"), "message_count": left, "properties": map[string]any{},
	}
	if p, err := message.ParseProperties(d.Message.Properties); err == nil {
		if d.DeliveryCount > 0 {
			p.Headers = p.Headers.Set("x-delivery-count", int64(d.DeliveryCount))
			p.Flags |= message.HasHeaders
		}
		m["properties"] = propertiesJSON(&p)
	}
	body := d.Message.Body
	if truncate != nil && int(*truncate) >= 0 && len(body) > int(*truncate) {
		body = body[:*truncate]
	}
	m["payload"], m["payload_encoding"] = string(body), "string"
	if base || !utf8.Valid(body) {
		m["payload"], m["payload_encoding"] = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return m
}

// moveMessages moves messages from the head of a queue to an exchange, or to another
// queue: each is taken out when its new place has it.
func (h *handler) moveMessages(w http.ResponseWriter, r *request) error {
	var body struct {
		Queue    *string `json:"queue"`
		Exchange *string `json:"exchange"`
		Key      *string `json:"routing_key"` // default: each message's own
		Count    number  `json:"count"`       // 0: what is ready now
	}
	if err := h.queueThere(r); err != nil {
		return err
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if (body.Queue == nil) == (body.Exchange == nil) || body.Count < 0 || body.Count > moveMax {
		return fault.New(fault.PreconditionFailed, "say either queue or exchange, and a count from 0 (all that are ready) to %d", moveMax)
	}
	if body.Queue != nil && *body.Queue == param(r, "name") {
		return fault.New(fault.PreconditionFailed, "queue '%s' is where the messages are", *body.Queue)
	}
	if body.Queue != nil && !h.hasQueue(param(r, "vhost"), *body.Queue) {
		return fault.New(fault.NotFound, "no queue '%s' in vhost '%s'", *body.Queue, param(r, "vhost"))
	}
	moved, most := 0, int(body.Count)
	err := h.act(r, func(a *node.Actor) error {
		for {
			c, d, left, ok, err := a.Get(r.Context(), param(r, "name"), false)
			if err != nil || !ok {
				return err
			}
			if most == 0 {
				most = min(int(left)+1, moveMax)
			}
			m := *d.Message
			if body.Queue != nil {
				m.Exchange, m.RoutingKey = "", *body.Queue
			} else {
				m.Exchange = *body.Exchange
				if body.Key != nil {
					m.RoutingKey = *body.Key
				}
			}
			routed, err := a.PublishNow(r.Context(), &m)
			if err == nil && !routed {
				err = fault.New(fault.PreconditionFailed, "exchange '%s' leads nowhere with routing key '%s': %d messages were moved", m.Exchange, m.RoutingKey, moved)
			}
			if err != nil {
				a.Settle(c, []uint64{d.Seq}, node.Requeue)
				return err
			}
			a.Settle(c, []uint64{d.Seq}, node.Ack)
			if moved++; moved == most {
				return nil
			}
		}
	})
	if err == nil {
		write(w, http.StatusOK, map[string]int{"moved": moved})
	}
	return err
}
