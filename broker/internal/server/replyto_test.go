package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

func TestDirectReplyTo(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	client, service := open(t, dial(t, addr)), open(t, dial(t, addr))
	declare(t, service, "requests")
	requests, err := service.Consume("requests", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if q, err := client.QueueDeclarePassive(directReplyTo, false, false, false, false, nil); err != nil || q.Consumers != 1 {
		t.Fatalf("%+v, %v", q, err)
	}
	replies, err := client.Consume(directReplyTo, "replies", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	err = client.PublishWithContext(ctx, "", "requests", false, false, amqp091.Publishing{
		ReplyTo: directReplyTo, CorrelationId: "7", AppId: "me", Body: []byte("ping"),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := next(t, requests)
	if r.ReplyTo == directReplyTo || r.ReplyTo == "" || r.CorrelationId != "7" || r.AppId != "me" {
		t.Errorf("request: %+v", r)
	}
	if err := service.PublishWithContext(ctx, "", r.ReplyTo, false, false, amqp091.Publishing{Body: []byte("pong")}); err != nil {
		t.Fatal(err)
	}
	if d := next(t, replies); string(d.Body) != "pong" {
		t.Errorf("reply: %q", d.Body)
	}
	// A second one is refused; after a cancel there may be another.
	if err := client.Cancel("replies", false); err != nil {
		t.Fatal(err)
	}
	if _, err = client.Consume(directReplyTo, "again", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	_, err = client.Consume(directReplyTo, "second", true, false, false, false, nil)
	if e, ok := errors.AsType[*amqp091.Error](err); !ok || e.Reason != "PRECONDITION_FAILED - reply consumer already set" {
		t.Error(err)
	}
}

func TestPublishRefused(t *testing.T) {
	_, addr := start(t, newFake(), nil)
	conn := dial(t, addr)
	tests := []struct {
		name string
		p    amqp091.Publishing
		want string
	}{
		{"no reply consumer", amqp091.Publishing{ReplyTo: directReplyTo}, "fast reply consumer does not exist"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ch := open(t, conn)
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			if err := ch.PublishWithContext(context.Background(), "", "q", false, false, tt.p); err != nil {
				t.Fatal(err)
			}
			if e := next(t, closed); e.Code != 406 || !strings.HasSuffix(e.Reason, tt.want) {
				t.Errorf("got %v", e)
			}
		})
	}
	ch := open(t, conn)
	_, err := ch.Consume(directReplyTo, "", false, false, false, false, nil)
	if e, ok := errors.AsType[*amqp091.Error](err); !ok || !strings.HasSuffix(e.Reason, "reply consumer cannot acknowledge") {
		t.Error(err)
	}
}
