package dlq

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
)

// confirmTimeout bounds the wait for the broker's confirm of one message.
const confirmTimeout = 30 * time.Second

// Filter chooses letters; nil chooses all.
type Filter func(Letter) (bool, error)

// Target says where a letter is sent back to.
type Target uint8

const (
	// ToQueue is the queue it came from, and no other: other groups of the destination do not see it again.
	ToQueue Target = iota
	// ToExchange is the exchange it was published to at first, with its routing key: every group gets it again.
	ToExchange
)

// Options of a replay.
type Options struct {
	Filter Filter
	Limit  int     // at most so many are sent back; all when 0
	Rate   float64 // at most so many a second; as fast as can be when 0
	To     Target
	Queue  string // send all to this queue, in place of the one each came from
	// Instrumentation continues each message's trace with a span of the replay; the zero value leaves its headers as they are.
	Instrumentation stream.Instrumentation
	// Each, when set, is called for every letter that was sent back.
	Each func(Letter)
}

// Queue is a dead-letter queue. It is not safe for concurrent use.
type Queue struct {
	conn *amqp.Connection
	name string
}

// Open returns the queue called name, which must exist.
func Open(conn *amqp.Connection, name string) (*Queue, error) {
	q := &Queue{conn: conn, name: name}
	_, err := q.Len()
	return q, err
}

// Len is the number of letters that nobody holds.
func (q *Queue) Len() (int, error) {
	ch, err := q.conn.Channel()
	if err != nil {
		return 0, fmt.Errorf("dlq: %w", err)
	}
	defer func() { _ = ch.Close() }()
	state, err := ch.QueueDeclarePassive(q.name, true, false, false, false, nil)
	if err != nil {
		return 0, fmt.Errorf("dlq: queue %s: %w", q.name, err)
	}
	return state.Messages, nil
}

// Browse calls each for up to limit letters that filter chooses, oldest first (all when limit is 0). They stay in the queue; a
// quorum queue counts the look as a delivery.
func (q *Queue) Browse(ctx context.Context, filter Filter, limit int, each func(Letter) error) error {
	_, err := q.walk(ctx, filter, limit, func(_ *desk, l Letter) error { return each(l) })
	return err
}

// Purge deletes the letters that filter chooses and returns their number.
func (q *Queue) Purge(ctx context.Context, filter Filter) (int, error) {
	return q.walk(ctx, filter, 0, func(_ *desk, l Letter) error { return l.delivery.Ack(false) })
}

// Edit changes the letters that filter chooses, and returns their number. A changed letter goes to the end of the queue and
// keeps its reason; the old one goes when the broker has confirmed the new one.
func (q *Queue) Edit(ctx context.Context, filter Filter, change func(*Letter) error) (int, error) {
	return q.walk(ctx, filter, 0, func(d *desk, l Letter) error {
		if err := change(&l); err != nil {
			return err
		}
		headers := amqp.Table{}
		for k, v := range l.Message.Headers {
			if !stream.BrokerOwned(k) {
				headers[k] = v
			}
		}
		headers[headerOriginalQueue] = l.Queue
		if lastDeath(l.delivery.Headers) != nil { // what the broker wrote would be lost
			headers[stream.HeaderExceptionMessage], headers[stream.HeaderOriginalExchange] = l.Reason, l.Exchange
			headers[stream.HeaderOriginalRoutingKey] = l.RoutingKey
		}
		if err := d.publish(ctx, "", q.name, l.publishing(headers)); err != nil {
			return err
		}
		return l.delivery.Ack(false)
	})
}

// Replay sends letters back and returns how many. Each leaves the queue when the broker has confirmed it; at the first that it
// does not take, the replay ends with an error.
func (q *Queue) Replay(ctx context.Context, o Options) (int, error) {
	var pace *time.Ticker
	if o.Rate > 0 {
		pace = time.NewTicker(time.Duration(float64(time.Second) / o.Rate))
		defer pace.Stop()
	}
	return q.walk(ctx, o.Filter, o.Limit, func(d *desk, l Letter) error {
		if pace != nil {
			select {
			case <-pace.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		exchange, key, err := o.address(l)
		if err != nil {
			return err
		}
		if err := o.send(ctx, d, exchange, key, l); err != nil {
			return err
		}
		if o.Each != nil {
			o.Each(l)
		}
		return l.delivery.Ack(false)
	})
}

func (o Options) address(l Letter) (exchange, key string, err error) {
	switch {
	case o.Queue != "":
		return "", o.Queue, nil
	case o.To == ToQueue:
		return "", l.Queue, nil
	case l.Exchange == "" && l.RoutingKey == "":
		return "", "", fmt.Errorf("dlq: letter %s does not say where it was published", l.Message.ID)
	}
	return l.Exchange, l.RoutingKey, nil
}

// send publishes a letter as the fresh message that it was, in the trace that it carries.
func (o Options) send(ctx context.Context, d *desk, exchange, key string, l Letter) error {
	next := func(ctx context.Context, ms []stream.Raw) []error {
		l.Message = ms[0]
		return []error{d.publish(ctx, exchange, key, l.publishing(amqp.Table(l.Message.Headers)))}
	}
	l.Message.Headers = stream.Headers(l.fresh())
	l.Message.RoutingKey = key
	if o.Instrumentation.Publish != nil {
		next = o.Instrumentation.Publish(stream.System{Name: "rabbitmq"}, stream.Binding{Destination: exchange}, next)
	}
	return next(ctx, []stream.Raw{l.Message})[0]
}

// walk takes the letters that are in the queue now, one after another, and gives those that filter chooses to f, up to limit of
// them. What f does not acknowledge goes back to its place when the walk ends.
func (q *Queue) walk(ctx context.Context, filter Filter, limit int, f func(*desk, Letter) error) (n int, err error) {
	left, err := q.Len()
	if err != nil {
		return 0, err
	}
	ch, err := q.conn.Channel()
	if err != nil {
		return 0, fmt.Errorf("dlq: %w", err)
	}
	defer func() { _ = ch.Close() }()
	if err := ch.Confirm(false); err != nil {
		return 0, fmt.Errorf("dlq: %w", err)
	}
	work := &desk{ch: ch, returns: ch.NotifyReturn(make(chan amqp.Return, 1))}
	for ; left > 0 && (limit == 0 || n < limit); left-- {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		d, ok, err := ch.Get(q.name, false)
		if err != nil {
			return n, fmt.Errorf("dlq: get from %s: %w", q.name, err)
		}
		if !ok {
			break // somebody else took them
		}
		l := read(d, q.name)
		if filter != nil {
			chosen, err := filter(l)
			if err != nil {
				return n, err
			}
			if !chosen {
				continue
			}
		}
		if err := f(work, l); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// ErrReturned says that no queue took a letter.
var ErrReturned = errors.New("dlq: no queue takes it")

// desk is where letters lie while they are worked on: a channel in confirm mode. One message at a time is under way.
type desk struct {
	ch      *amqp.Channel
	returns chan amqp.Return
}

// publish returns when the broker has the message safely.
func (d *desk) publish(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	confirm, err := d.ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, msg)
	if err != nil {
		return fmt.Errorf("dlq: publish to %q by %q: %w", exchange, key, err)
	}
	acked, err := confirm.WaitContext(ctx)
	if err != nil {
		return fmt.Errorf("dlq: no confirm of %s, it may be there twice now: %w", msg.MessageId, err)
	}
	select {
	case <-d.returns: // it comes before the confirm
		return fmt.Errorf("%w: exchange %q, key %q", ErrReturned, exchange, key)
	default:
	}
	if !acked {
		return fmt.Errorf("dlq: publish to %q by %q: %w", exchange, key, stream.ErrNacked)
	}
	return nil
}

// TraceOf is the trace id that a letter carries, "" when it has none.
func TraceOf(l Letter) string { return oteltrace.TraceID(l.Message.Headers) }
