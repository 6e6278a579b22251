package rabbit

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/warren-mq/warren/libs/stream"
)

// failures publishes the messages of one consumer that failed: with their reason to the dead-letter exchange, or to the queue
// in which they wait for another attempt. Its outlet is its own, so that a failed publish touches nobody else.
type failures struct {
	outlet    *outlet
	republish bool
	cfg       Config
	p         stream.ConsumerProperties
	stop      context.CancelFunc

	mu sync.Mutex
	to *address // nil while no dead-letter exchange is known
	// looked is whether an exchange that somebody else declares was looked for.
	looked bool
	guess  address
}

func newFailures(o *outlet, b stream.Binding, t *Topology, cfg Config) *failures {
	q := b.Consumer.Queue
	f := &failures{outlet: o, republish: b.Consumer.RepublishToDLQ.Or(true), cfg: cfg, p: b.Consumer, to: t.deadLetter}
	f.guess = address{exchange: deadLetterExchangeOf(q), key: deadLetterKey(q, t.consume)}
	if f.p.FrameMaxHeadroom == 0 {
		f.p.FrameMaxHeadroom = frameMaxHeadroomBytes
	}
	return f
}

// find looks, once a connection, for a dead-letter exchange that the binding does not declare itself. That it is missing is
// no error: failed messages are rejected then.
func (f *failures) find(conn *amqp.Connection) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.republish || f.to != nil || f.guess.exchange == "" {
		return nil
	}
	defer impatient(conn)()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = ch.Close() }()
	err = ch.ExchangeDeclarePassive(f.guess.exchange, amqp.ExchangeDirect, true, false, false, false, nil)
	var refusal *amqp.Error
	switch {
	case err == nil:
		f.to = &f.guess
	case !errors.As(err, &refusal):
		return err
	case !f.looked:
		f.cfg.Logger.Info("no dead-letter exchange, failed messages are rejected", "exchange", f.guess.exchange)
	}
	f.looked = true
	return nil
}

// deadLetter publishes a failed message with its reason beside it; id, type, trace and all other headers stay.
func (f *failures) deadLetter(m stream.Raw, reason error) error {
	f.mu.Lock()
	to := f.to
	f.mu.Unlock()
	if to == nil || !f.republish {
		return stream.ErrNoDeadLetters
	}
	return f.publish(m, *to, 0, stream.DeadLetterHeaders(m.Delivery, reason, frameBytes-max(f.p.FrameMaxHeadroom, 0)))
}

// retry puts a failed message into the queue from which it comes back.
func (f *failures) retry(m stream.Raw, queue string, wait, pause time.Duration) error {
	return f.publish(m, address{key: retryQueue(queue, wait)}, pause, stream.RetryHeaders(m))
}

// publish returns when the broker has confirmed. Its clock is its own: a message that failed is put away even while the
// binding stops. Headers that a broker counts by, and the time the message had left, do not come along.
func (f *failures) publish(m stream.Raw, to address, ttl time.Duration, more stream.Headers) error {
	headers := make(stream.Headers, len(m.Headers)+len(more))
	for k, v := range m.Headers {
		if !stream.BrokerOwned(k) {
			headers[k] = v
		}
	}
	for k, v := range more {
		headers[k] = v
	}
	m.Headers, m.RoutingKey, m.TTL, m.Delay, m.UserID = headers, to.key, ttl, 0, ""
	msg, err := publishing(m, f.p.RepublishTransient && ttl == 0)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), f.cfg.DeadLetterTimeout)
	defer cancel()
	return f.outlet.deliver(ctx, []*letter{newLetter(to.exchange, to.key, true, msg)})[0]
}

// frameBytes is the frame size of RabbitMQ and of this binder's connections; headers must fit into one frame.
const frameBytes = 131072

// retryQueue is the name of the queue for a wait.
func retryQueue(queue string, wait time.Duration) string {
	return queue + ".retry." + strconv.FormatInt(wait.Milliseconds(), 10)
}

// expiration is a TTL as AMQP writes it.
func expiration(ttl time.Duration) string {
	if ttl <= 0 {
		return ""
	}
	return strconv.FormatInt(max(ttl.Milliseconds(), 1), 10)
}

func parseExpiration(s string) time.Duration {
	if s == "" {
		return 0 // as with almost all messages: an error to be thrown away is not free
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}
