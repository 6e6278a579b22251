package chassis

import (
	"bytes"
	"context"
	"maps"
	"strings"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/services/internal/failure"
)

// allowFailures makes the service's switches and puts a wire that can be cut in front of the broker. With TLS there is none: the
// wire has no certificate.
func (s *Service) allowFailures(ctx context.Context) error {
	s.Failures = failure.New(s.cfg.Service)
	s.Now = s.Failures.Now
	if len(s.cfg.AMQP) != 1 || !strings.HasPrefix(s.cfg.AMQP[0], "amqp://") {
		return nil
	}
	link, address, err := failure.NewLink(ctx, s.Failures, s.cfg.AMQP[0])
	if err != nil {
		return err
	}
	s.link, s.cfg.AMQP = link, []string{address}
	return nil
}

// publisher is what the outbox's relay publishes through: the application, with the failures that happen at this place.
type publisher struct {
	app      outbox.Publisher
	failures *failure.Set
}

// PublishRaw implements outbox.Publisher.
func (p publisher) PublishRaw(ctx context.Context, binding string, ms []stream.Raw) []error {
	if p.failures.Hit(failure.LostTrace) {
		ms = change(ms, func(m *stream.Raw) {
			m.Headers = maps.Clone(m.Headers)
			for _, h := range []string{"traceparent", "tracestate", "baggage", "b3"} {
				delete(m.Headers, h)
			}
		})
	}
	if p.failures.Hit(failure.SchemaChange) {
		ms = change(ms, func(m *stream.Raw) {
			m.Payload = bytes.Replace(m.Payload, []byte(`"order_id"`), []byte(`"orderId"`), 1)
		})
	}
	errs := p.app.PublishRaw(ctx, binding, ms)
	if p.failures.Hit(failure.Duplicates) {
		p.app.PublishRaw(ctx, binding, ms) // what becomes of the second copies is nobody's business
	}
	p.failures.Kill(failure.RelayDies) // they are confirmed, and not marked as sent
	return errs
}

// change returns copies of messages with a difference.
func change(ms []stream.Raw, f func(*stream.Raw)) []stream.Raw {
	out := make([]stream.Raw, len(ms))
	for i, m := range ms {
		f(&m)
		out[i] = m
	}
	return out
}
