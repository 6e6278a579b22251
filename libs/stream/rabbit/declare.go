package rabbit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// declarer declares a topology on a connection. A refusal for different arguments (406) or for missing permission (403) does
// not stop the binding when the object exists: somebody else declared it another way, which is theirs to answer for.
type declarer struct {
	conn *amqp.Connection
	ch   *amqp.Channel
	log  *slog.Logger
	// odd is what was found declared otherwise, for the binding's health; "" when all is as asked.
	odd string
}

// declare returns what was found odd.
func declare(ctx context.Context, conn *amqp.Connection, t *Topology, log *slog.Logger) (odd string, err error) {
	defer impatient(conn)()
	d := &declarer{conn: conn, log: log}
	if d.ch, err = conn.Channel(); err != nil {
		return "", err
	}
	defer func() { _ = d.ch.Close() }()
	for _, x := range t.Exchanges {
		err = d.tolerant(ctx, "exchange "+x.Name,
			func() error {
				return d.ch.ExchangeDeclare(x.Name, x.Kind, x.Durable, x.AutoDelete, false, false, x.Args)
			},
			func() error {
				return d.ch.ExchangeDeclarePassive(x.Name, x.Kind, x.Durable, x.AutoDelete, false, false, x.Args)
			})
		if err != nil {
			return "", err
		}
	}
	away := map[string]bool{} // dead-letter and retry queues out of reach
	for _, q := range t.Queues {
		err = d.tolerant(ctx, "queue "+q.Name,
			func() error {
				_, err := d.ch.QueueDeclare(q.Name, q.Durable, q.AutoDelete, q.Exclusive, false, q.Args)
				return err
			},
			func() error {
				_, err := d.ch.QueueDeclarePassive(q.Name, q.Durable, q.AutoDelete, q.Exclusive, false, q.Args)
				return err
			})
		if err != nil {
			if err = d.excuse(ctx, q, err); err != nil {
				return "", err
			}
			away[q.Name] = true
		}
	}
	for _, b := range t.Bindings {
		if away[b.Queue] {
			continue
		}
		if err := d.ch.QueueBind(b.Queue, b.Key, b.Exchange, false, b.Args); err != nil {
			return "", fmt.Errorf("bind %s to %s: %w", b.Queue, b.Exchange, err)
		}
	}
	return d.odd, nil
}

// excuse forgives that a dead-letter or retry queue cannot be reached (404: it exists, its home node is down). It was declared and bound
// before, and messages shall flow on meanwhile; only a message that fails for good has to wait for it.
func (d *declarer) excuse(ctx context.Context, q Queue, err error) error {
	var e *amqp.Error
	if !q.spare || !errors.As(err, &e) || e.Code != amqp.NotFound {
		return err
	}
	d.odd = "queue of failed messages not reachable: " + e.Reason
	d.log.WarnContext(ctx, "queue of failed messages not reachable", "reason", e.Reason)
	d.ch, err = d.conn.Channel()
	return err
}

// impatient ends the connection when the broker leaves our requests unanswered for rpcTimeout: the client library waits for
// ever, and a broker that is alive but stuck would keep us. The result stops the clock.
func impatient(conn *amqp.Connection) (stop func() bool) {
	return time.AfterFunc(rpcTimeout, func() { _ = conn.CloseDeadline(time.Now()) }).Stop
}

// tolerant tries active, and after a refusal that leaves hope passive on a fresh channel.
func (d *declarer) tolerant(ctx context.Context, what string, active, passive func() error) error {
	refusal := active()
	var e *amqp.Error
	if refusal == nil {
		return nil
	}
	if !errors.As(refusal, &e) || e.Code != amqp.PreconditionFailed && e.Code != amqp.AccessRefused {
		return fmt.Errorf("declare %s: %w", what, refusal)
	}
	var err error
	if d.ch, err = d.conn.Channel(); err != nil {
		return err
	}
	if err := passive(); err != nil {
		return fmt.Errorf("declare %s: %w", what, refusal)
	}
	d.odd = fmt.Sprintf("%s exists with other properties: %s", what, e.Reason)
	d.log.WarnContext(ctx, "declared otherwise", "object", what, "reason", e.Reason)
	return nil
}
