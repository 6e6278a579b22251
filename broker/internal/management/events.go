package management

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) eventRoutes() []route {
	return []route{
		{http.MethodGet, "/api/events", monitor, h.listEvents},
		{http.MethodGet, "/api/events/stream", anyUser, h.stream},
	}
}

// How often a stream tells how things are, and for how long one lives: then the client
// comes again, and is asked anew who it is.
const (
	streamInterval = 2 * time.Second
	streamLifetime = 10 * time.Minute
	streamsMax     = 256 // of one node
)

func eventJSON(e *node.Event) map[string]any {
	return map[string]any{"serial": e.Serial, "timestamp": e.At, "node": e.Node, "key": e.Key, "details": tableJSON(e.Fields.Table), "name": e.Key}
}

// listEvents returns the latest events of the cluster, the newest first; ?after= is a time
// in Unix milliseconds.
func (h *handler) listEvents(w http.ResponseWriter, r *request) error {
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		var err error
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fmt.Errorf("%w: after is %q, not a time in Unix milliseconds", errBadRequest, text)
		}
	}
	l := h.b.Node().ListEvents(r.Context(), nil)
	partial(w, l.Missing)
	l.Items = slices.DeleteFunc(l.Items, func(e node.Event) bool { return e.At <= after })
	slices.Reverse(l.Items)
	return h.list(w, r, rows{
		n: len(l.Items), name: func(i int) string { return l.Items[i].Key }, entry: func(i int, _ map[string]any) map[string]any { return eventJSON(&l.Items[i]) },
	})
}

// stream tells a client how things are, again and again: server-sent events "overview",
// and, for who watches over all, "events" with what happened since.
func (h *handler) stream(w http.ResponseWriter, r *request) error {
	if h.streams.Add(1) > streamsMax {
		h.streams.Add(-1)
		w.Header().Set("Retry-After", strconv.Itoa(int(streamInterval/time.Second)))
		w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	}
	defer h.streams.Add(-1)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	end := time.NewTimer(streamLifetime)
	defer end.Stop()
	tick := time.NewTicker(streamInterval)
	defer tick.Stop()
	watches := r.user.HasTag(monitor.tags...)
	after := map[string]uint64{} // what each node's last event was that the client knows
	if watches {
		lastOf(after, h.b.Node().ListEvents(r.Context(), nil).Items)
	}
	for {
		if err := send(w, "overview", h.overviewJSON(discard{}, r, spans{})); err != nil {
			return nil //nolint:nilerr // the client has gone
		}
		if watches {
			l := h.b.Node().ListEvents(r.Context(), after)
			list := make([]map[string]any, 0, len(l.Items))
			for i := range l.Items {
				list = append(list, eventJSON(&l.Items[i]))
			}
			lastOf(after, l.Items)
			if len(list) > 0 && send(w, "events", list) != nil {
				return nil
			}
		}
		if out.Flush() != nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			return nil
		case <-h.stopping:
			return nil
		case <-r.Context().Done():
			return nil
		}
	}
}

// lastOf notes the last serial of each node.
func lastOf(serials map[string]uint64, events []node.Event) {
	for i := range events {
		serials[events[i].Node] = events[i].Serial
	}
}

// send writes one server-sent event.
func send(w http.ResponseWriter, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, b)
	return err
}
