package main

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// consume takes deliveries until ctx ends.
func (b *bench) consume(ctx context.Context, conn *amqp.Connection, worker int) (done bool, err error) {
	ch, err := conn.Channel()
	if err != nil {
		return false, err
	}
	if b.cfg.Prefetch > 0 {
		if err := ch.Qos(b.cfg.Prefetch, 0, false); err != nil {
			return false, err
		}
	}
	in, err := ch.Consume(b.cfg.queueName(worker), "", b.cfg.AutoAck, false, false, false, nil)
	if err != nil {
		return false, err
	}
	unacked := 0
	begin, pacer := time.Now(), newPacer(b.cfg.Taking, nil)
	for {
		if pacer != nil {
			select {
			case <-time.After(time.Until(begin.Add(pacer.due()))):
			case <-ctx.Done():
				return true, nil
			}
		}
		var d amqp.Delivery
		var ok bool
		select {
		case d, ok = <-in:
		case <-ctx.Done():
			return true, nil
		}
		if !ok {
			return false, errLost
		}
		s, stamped := readStamp(d.Body, d.MessageId)
		if b.ledger.receive(s, stamped, b.id) {
			b.received.Add(1)
			b.consuming.record(time.Since(b.start) - s.sent)
		}
		if unacked++; b.cfg.AutoAck || unacked < b.cfg.AckEvery {
			continue
		}
		unacked = 0
		if err := d.Ack(b.cfg.AckEvery > 1); err != nil {
			return false, err
		}
	}
}
