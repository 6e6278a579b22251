package protobuf_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/memory"
	"github.com/warren-mq/warren/libs/stream/protobuf"
)

func TestConverter(t *testing.T) {
	c := protobuf.Converter{}
	for _, contentType := range []string{protobuf.ContentType, "application/protobuf; messageType=x", "application/vnd.google.protobuf"} {
		data, err := c.Encode(&durationpb.Duration{Seconds: 3}, contentType)
		if err != nil || hex.EncodeToString(data) != "0803" {
			t.Errorf("%x %v", data, err)
		}
		var d *durationpb.Duration
		if err := c.Decode(data, contentType, &d); err != nil || d.GetSeconds() != 3 {
			t.Errorf("%v %v", d, err)
		}
	}
	data, err := c.Encode(&durationpb.Duration{Seconds: 3}, stream.ContentTypeJSON)
	if err != nil || string(data) != `"3s"` {
		t.Errorf("%s %v", data, err)
	}
	var d *durationpb.Duration
	if err := c.Decode(data, "application/vnd.x+json", &d); err != nil || d.GetSeconds() != 3 {
		t.Errorf("%v %v", d, err)
	}
	if err := c.Decode([]byte{0xff}, protobuf.ContentType, &d); err == nil {
		t.Error("nonsense is read")
	}
	if _, err := c.Encode(d, "text/plain"); err == nil {
		t.Error("a message as text")
	}
	if err := c.Decode(nil, "text/plain", &d); err == nil {
		t.Error("a message of text")
	}
	var n int
	if data, err := c.Encode(7, stream.ContentTypeJSON); err != nil || c.Decode(data, stream.ContentTypeJSON, &n) != nil || n != 7 {
		t.Errorf("others: %d %v", n, err)
	}
}

func ExampleConverter() {
	app := stream.New(memory.New(memory.NewBroker()), stream.WithConverter(protobuf.Converter{}))
	done := make(chan struct{})
	b := stream.Binding{Name: "in", Destination: "names", Group: "g", ContentType: protobuf.ContentType}
	stream.Consume(app, b, func(_ context.Context, m stream.Message[*wrapperspb.StringValue]) error {
		fmt.Println(m.ContentType, m.Payload.GetValue())
		close(done)
		return nil
	})
	b.Name = "out"
	names := stream.NewSender[*wrapperspb.StringValue](app, b)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer app.Stop(ctx)
	if err := names.Send(ctx, stream.NewMessage(wrapperspb.String("Ann"))); err != nil {
		fmt.Println(err)
		return
	}
	<-done
	// Output: application/x-protobuf Ann
}
