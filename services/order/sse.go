package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/order/internal/order"
)

const (
	eventStreamType = "text/event-stream"
	// keepAlive is shorter than what proxies take for a dead connection.
	keepAlive = 15 * time.Second
)

type followInput struct {
	ID          string `path:"id"`
	LastEventID int64  `header:"Last-Event-ID" doc:"Sequence number of the last line that was seen"`
}

// follow streams the timeline: first what was, then what comes, until the client goes.
func (a api) follow(ctx context.Context, in *followInput) (*huma.StreamResponse, error) {
	if _, err := a.orders.Get(ctx, in.ID); err != nil {
		return nil, problem(err, in.ID)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", eventStreamType)
		hc.SetHeader("Cache-Control", "no-store")
		w := hc.BodyWriter()
		write := func(text string) error {
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
			if f, ok := w.(http.Flusher); ok {
				f.Flush()
			}
			return nil
		}
		line := func(e order.Entry) error {
			data, err := json.Marshal(toEntry(e))
			if err != nil {
				return err
			}
			return write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Event, data))
		}
		idle := func() error { return write(": still here\n\n") }
		// An error is the client's going, which nobody needs to hear of.
		_ = a.orders.Follow(hc.Context(), in.ID, in.LastEventID, keepAlive, line, idle)
	}}, nil
}
