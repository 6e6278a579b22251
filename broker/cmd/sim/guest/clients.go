//go:build wasip1

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/broker/internal/sim/task"
)

// Behaviour of the clients.
const (
	heartbeat    = 2 * time.Second
	confirmMax   = 20               // messages of a publisher that are not confirmed
	confirmWait  = 20 * time.Second // then a connection that answers nothing is given up
	reconnectMax = 300 * time.Millisecond
	prefetchMax  = 20
	holdMax      = 60 * time.Millisecond
)

func tell(r task.Record) {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	p, n := place(b)
	record(p, n)
}

// runClients runs, for each queue, a publisher and a consumer, and somebody who declares
// and deletes.
func runClients(t *task.Clients) error {
	c := &clients{Clients: t, began: time.Now()}
	var all sync.WaitGroup
	for _, q := range t.Queues {
		all.Go(func() { c.forever("publisher of "+q.Name, func() error { return c.publish(q) }) })
		all.Go(func() { c.forever("consumer of "+q.Name, func() error { return c.consume(q) }) })
	}
	all.Go(func() { c.forever("declarer", c.churn) })
	all.Wait()
	return errors.New("clients ended")
}

type clients struct {
	*task.Clients
	began time.Time

	mu     sync.Mutex
	serial int
}

func (c *clients) over() bool { return time.Since(c.began) > c.PublishUntil }

// forever does something anew whenever its connection is gone.
func (c *clients) forever(what string, do func() error) {
	for {
		err := do()
		if err == nil {
			select {} // enough
		}
		if !errors.Is(err, errOnPurpose) {
			fmt.Println(what+":", err)
		}
		time.Sleep(rand.N(reconnectMax))
	}
}

var errOnPurpose = errors.New("closed on purpose")

func (c *clients) connect() (*amqp.Connection, *amqp.Channel, error) {
	addr := c.Nodes[rand.IntN(len(c.Nodes))]
	conn, err := amqp.DialConfig("amqp://guest:guest@"+addr+task.PortAMQP, amqp.Config{
		Heartbeat: heartbeat,
		Dial: func(_, addr string) (net.Conn, error) {
			nc, err := network{}.Dial(context.Background(), addr)
			if err == nil {
				err = nc.SetDeadline(time.Now().Add(10 * time.Second)) // the library takes it away
			}
			return nc, err
		},
	})
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		_ = conn.Close()
	}
	return conn, ch, err
}

// end closes a connection, without waiting long for the other end.
func end(conn *amqp.Connection) { _ = conn.CloseDeadline(time.Now().Add(time.Second)) }

func (c *clients) declare(ch *amqp.Channel, q task.Queue) error {
	var args amqp.Table
	if q.Replicated {
		args = amqp.Table{"x-queue-type": "quorum"}
	}
	_, err := ch.QueueDeclare(q.Name, true, false, false, false, args)
	return err
}

// name returns a name for who uses a new connection.
func (c *clients) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	return fmt.Sprintf("%s-%d", c.Name, c.serial)
}

// publish is a publisher from connection to connection. The broker keeps the order of
// messages on one channel, so that each time is a publisher of its own.
func (c *clients) publish(q task.Queue) error {
	name, n := c.name(), 0
	last, refused := false, false
	conn, ch, err := c.connect()
	if err != nil {
		return err
	}
	defer end(conn)
	if err := c.declare(ch, q); err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 2*confirmMax))
	returns := ch.NotifyReturn(make(chan amqp.Return, 2*confirmMax))
	returned := map[string]bool{}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	waiting := map[uint64]int{}
	settle := func(k amqp.Confirmation, ok bool) bool {
		if ok {
			for more := true; more; { // they come before their confirms
				select {
				case r, ok := <-returns:
					more = ok
					returned[r.MessageId] = ok
				default:
					more = false
				}
			}
			kind := task.Confirmed
			refused = false
			if !k.Ack || returned[strconv.Itoa(waiting[k.DeliveryTag])] {
				kind, refused = task.Refused, true
			}
			tell(task.Record{Kind: kind, Queue: q.Name, Publisher: name, Number: waiting[k.DeliveryTag]})
			delete(waiting, k.DeliveryTag)
		}
		return ok
	}
	patience := time.NewTimer(confirmWait)
	for tag := uint64(1); ; tag++ {
		pause := time.NewTimer(rand.N(2*c.Pause + 1))
		for paused := true; paused || len(waiting) >= confirmMax || c.over() && len(waiting) > 0; {
			patience.Reset(confirmWait)
			select {
			case k, ok := <-confirms:
				if !settle(k, ok) {
					return errors.New("channel closed")
				}
			case err := <-closed:
				for k := range confirms { // what came before the end counts
					settle(k, true)
				}
				return fmt.Errorf("closed: %w", err)
			case <-pause.C:
				paused = false
			case <-patience.C:
				if len(waiting) > 0 {
					tell(task.Record{Kind: task.Silent, Queue: q.Name, Publisher: name, Number: len(waiting)})
				}
				return errors.New("no confirms")
			}
		}
		if last {
			if refused {
				return errors.New("the last message was refused")
			}
			tell(task.Record{Kind: task.Done, Queue: q.Name})
			return nil
		}
		if c.over() {
			time.Sleep(c.FinishAt - time.Since(c.began))
			last = true
		}
		n++
		body := name + " " + strconv.Itoa(n) + " " + strings.Repeat("x", rand.IntN(c.BodyBytes))
		tell(task.Record{Kind: task.Sent, Queue: q.Name, Publisher: name, Number: n})
		waiting[tag] = n
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		err := ch.PublishWithContext(ctx, "", q.Name, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, MessageId: strconv.Itoa(n), Body: []byte(body),
		})
		cancel()
		if err != nil {
			return err
		}
	}
}

func (c *clients) consume(q task.Queue) error {
	conn, ch, err := c.connect()
	if err != nil {
		return err
	}
	defer end(conn)
	consumer := c.name()
	defer tell(task.Record{Kind: task.Lost, Queue: q.Name, Consumer: consumer})
	if err := c.declare(ch, q); err != nil {
		return err
	}
	if err := ch.Qos(1+rand.IntN(prefetchMax), 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(q.Name, consumer, false, false, false, false, nil)
	if err != nil {
		return err
	}
	until := rand.IntN(2000) // deliveries, then it goes
	for d := range deliveries {
		publisher, rest, _ := strings.Cut(string(d.Body), " ")
		digits, _, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return fmt.Errorf("body %q", d.Body)
		}
		r := task.Record{Kind: task.Taken, Queue: q.Name, Publisher: publisher, Number: n, Consumer: consumer, Redelivered: d.Redelivered}
		tell(r)
		if rand.IntN(4) == 0 {
			time.Sleep(rand.N(holdMax))
		}
		if until--; until < 0 && !c.over() {
			return errOnPurpose // it holds messages
		}
		r.Redelivered = false
		switch {
		case rand.IntN(20) == 0 && !c.over():
			r.Kind = task.Returned
			tell(r)
			err = d.Nack(false, true)
		default:
			r.Kind = task.Acked
			tell(r)
			err = d.Ack(false)
		}
		if err != nil {
			return err
		}
	}
	return errors.New("deliveries ended")
}

// churn declares, binds and deletes queues and exchanges.
func (c *clients) churn() error {
	conn, ch, err := c.connect()
	if err != nil {
		return err
	}
	defer end(conn)
	for !c.over() {
		time.Sleep(rand.N(400 * time.Millisecond))
		name := fmt.Sprintf("%s-%d", c.Name, rand.IntN(4))
		var err error
		switch rand.IntN(5) {
		case 0:
			_, err = ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		case 1:
			_, err = ch.QueueDelete(name, false, false, false)
		case 2:
			err = ch.ExchangeDeclare(name, "topic", true, false, false, false, nil)
		case 3:
			err = ch.ExchangeDelete(name, false, false)
		case 4:
			if _, err = ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err == nil {
				err = ch.QueueBind(name, "k"+name, "amq.direct", false, nil)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
