package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/dlq"
	"github.com/warren-mq/warren/libs/stream/oteltrace"
	"github.com/warren-mq/warren/libs/telemetry"
)

// choice is which letters a command is about.
type choice struct {
	Queue  string   `arg:"" help:"Dead-letter queue."`
	ID     []string `help:"Letters with this message id; may be repeated." placeholder:"ID"`
	Filter string   `help:"Letters for which the expression is true: headers['x-exception-message'] matches '.*timeout.*', payload.total > 100, headers['letter.replays'] < 3." placeholder:"EXPRESSION"`
}

// filter is nil for all letters.
func (c choice) filter() (dlq.Filter, error) {
	var filters []dlq.Filter
	if len(c.ID) > 0 {
		filters = append(filters, dlq.ByID(c.ID...))
	}
	if c.Filter != "" {
		f, err := dlq.Where(c.Filter)
		if err != nil {
			return nil, run.UsageError{Err: fmt.Errorf("--filter: %w", err)}
		}
		filters = append(filters, f)
	}
	if len(filters) == 0 {
		return nil, nil //nolint:nilnil // no filter is a filter
	}
	return dlq.And(filters...), nil
}

// open checks the choice and opens its queue.
func (c choice) open(s *session) (*dlq.Queue, dlq.Filter, error) {
	filter, err := c.filter()
	if err != nil {
		return nil, nil, err
	}
	q, err := s.queue(c.Queue)
	return q, filter, err
}

type listCmd struct {
	Queues []string `arg:"" optional:"" help:"Queues; without any, all whose name ends in --suffix, from the management API."`
	Suffix string   `help:"End of the names of dead-letter queues." default:".dlq"`
	All    bool     `help:"Empty queues, too."`
}

func (c *listCmd) run(ctx context.Context, s *session) error {
	var found []queueInfo
	for _, name := range c.Queues {
		q, err := s.queue(name)
		if err != nil {
			return err
		}
		n, err := q.Len()
		if err != nil {
			return err
		}
		found = append(found, queueInfo{Name: name, Messages: n})
	}
	if len(c.Queues) == 0 {
		all, err := s.queues(ctx)
		if err != nil {
			return err
		}
		for _, q := range all {
			if strings.HasSuffix(q.Name, c.Suffix) && (c.All || q.Messages > 0) {
				found = append(found, q)
			}
		}
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tLETTERS")
	for _, q := range found {
		fmt.Fprintf(w, "%s\t%d\n", q.Name, q.Messages)
	}
	return w.Flush()
}

type showCmd struct {
	choice
	Limit int  `help:"At most so many." default:"20"`
	JSON  bool `help:"One JSON object a line, with headers and payload."`
	Full  bool `help:"Headers, stack trace and payload of each."`
}

func (c *showCmd) run(ctx context.Context, s *session) error {
	if c.Limit < 1 {
		return run.UsageError{Err: errors.New("--limit must be at least 1")}
	}
	q, filter, err := c.open(s)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	if !c.JSON && !c.Full {
		fmt.Fprintln(w, "ID\tTYPE\tMADE\tFROM\tREPLAYS\tREASON")
	}
	err = q.Browse(ctx, filter, c.Limit, func(l dlq.Letter) error {
		switch {
		case c.JSON:
			return json.NewEncoder(s.out).Encode(shown(l))
		case c.Full:
			showAll(s.out, l)
		default:
			reason, _, _ := strings.Cut(l.Reason, "\n")
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", l.Message.ID, l.Message.Type, stamp(l.Message.Timestamp), l.Queue, l.Replays, reason)
		}
		return nil
	})
	return errors.Join(err, w.Flush())
}

// letter is a dead letter as JSON.
type letter struct {
	ID          string          `json:"id"`
	Type        string          `json:"type,omitempty"`
	Time        time.Time       `json:"time"`
	Reason      string          `json:"reason"`
	Stacktrace  string          `json:"stacktrace,omitempty"`
	Queue       string          `json:"queue"`
	Exchange    string          `json:"exchange"`
	RoutingKey  string          `json:"routing_key"`
	Replays     int64           `json:"replays"`
	TraceID     string          `json:"trace_id,omitempty"`
	ContentType string          `json:"content_type"`
	Headers     map[string]any  `json:"headers"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	Text        string          `json:"text,omitempty"` // a payload that is no JSON
}

func shown(l dlq.Letter) letter {
	m := l.Message
	out := letter{
		ID: m.ID, Type: m.Type, Time: m.Timestamp, Reason: l.Reason, Stacktrace: l.Stacktrace, Queue: l.Queue, Exchange: l.Exchange,
		RoutingKey: l.RoutingKey, Replays: l.Replays, TraceID: dlq.TraceOf(l), ContentType: m.ContentType, Headers: m.Headers,
	}
	if json.Valid(m.Payload) {
		out.Payload = m.Payload
	} else {
		out.Text = string(m.Payload)
	}
	return out
}

func showAll(w io.Writer, l dlq.Letter) {
	m := l.Message
	fmt.Fprintf(w, "id        %s\ntype      %s\nmade      %s\nfrom      %s (exchange %q, key %q)\nreplays   %d\ntrace     %s\nreason    %s\n",
		m.ID, m.Type, stamp(m.Timestamp), l.Queue, l.Exchange, l.RoutingKey, l.Replays, dlq.TraceOf(l), l.Reason)
	for k, v := range m.Headers {
		if k != stream.HeaderExceptionStacktrace && k != stream.HeaderExceptionMessage {
			fmt.Fprintf(w, "header    %s: %v\n", k, v)
		}
	}
	if l.Stacktrace != "" {
		fmt.Fprintf(w, "stack     %s\n", strings.ReplaceAll(strings.TrimSpace(l.Stacktrace), "\n", "\n          "))
	}
	fmt.Fprintf(w, "payload   %s\n\n", m.Payload)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

type editCmd struct {
	choice
	Payload     string            `help:"New payload; @FILE reads it from a file." placeholder:"TEXT|@FILE"`
	ContentType string            `help:"New content type." placeholder:"TYPE"`
	Header      map[string]string `help:"Header to set; may be repeated." placeholder:"KEY=VALUE"`
	Unset       []string          `help:"Header to remove; may be repeated." placeholder:"KEY"`
}

func (c *editCmd) run(ctx context.Context, s *session) error {
	switch {
	case c.Payload == "" && c.ContentType == "" && len(c.Header) == 0 && len(c.Unset) == 0:
		return run.UsageError{Err: errors.New("nothing to change: give --payload, --content-type, --header or --unset")}
	case len(c.ID) == 0 && c.Filter == "":
		return run.UsageError{Err: errors.New("say which letters: --id or --filter")}
	}
	payload, err := content(c.Payload)
	if err != nil {
		return err
	}
	q, filter, err := c.open(s)
	if err != nil {
		return err
	}
	n, err := q.Edit(ctx, filter, func(l *dlq.Letter) error {
		if c.Payload != "" {
			l.Message.Payload = payload
		}
		if c.ContentType != "" {
			l.Message.ContentType = c.ContentType
		}
		for k, v := range c.Header {
			l.Message.Headers[k] = v
		}
		for _, k := range c.Unset {
			delete(l.Message.Headers, k)
		}
		return nil
	})
	fmt.Fprintf(s.out, "%d changed\n", n)
	return err
}

// content is the text, or that of the file it names.
func content(s string) ([]byte, error) {
	name, isFile := strings.CutPrefix(s, "@")
	if !isFile {
		return []byte(s), nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, run.UsageError{Err: fmt.Errorf("--payload: %w", err)}
	}
	return b, nil
}

type replayCmd struct {
	choice
	Limit   int     `help:"At most so many; 0 is all that are there now." default:"0"`
	Rate    float64 `help:"At most so many a second; 0 is as fast as can be." default:"0" placeholder:"N"`
	To      string  `help:"queue: the one each came from. exchange: where it was published, so that every group gets it again." enum:"queue,exchange" default:"queue"`
	ToQueue string  `help:"Send all to this queue instead." placeholder:"QUEUE"`
	DryRun  bool    `help:"Show what would be sent back."`
}

func (c *replayCmd) run(ctx context.Context, s *session) error {
	if c.Limit < 0 || c.Rate < 0 {
		return run.UsageError{Err: errors.New("--limit and --rate cannot be negative")}
	}
	q, filter, err := c.open(s)
	if err != nil {
		return err
	}
	if c.DryRun {
		n := 0
		err := q.Browse(ctx, filter, c.Limit, func(l dlq.Letter) error {
			n++
			fmt.Fprintln(s.out, l.Message.ID, "to", c.target(l))
			return nil
		})
		fmt.Fprintf(s.out, "%d would be replayed\n", n)
		return err
	}
	t, err := telemetry.Start(ctx, telemetry.Config{Service: "streamctl", Getenv: s.getenv})
	if err != nil {
		return err
	}
	o := dlq.Options{
		Filter: filter, Limit: c.Limit, Rate: c.Rate, Queue: c.ToQueue,
		Instrumentation: oteltrace.New(oteltrace.Config{TracerProvider: otel.GetTracerProvider()}),
		Each:            func(l dlq.Letter) { fmt.Fprintln(s.out, l.Message.ID, "to", c.target(l)) },
	}
	if c.To == "exchange" {
		o.To = dlq.ToExchange
	}
	n, err := q.Replay(ctx, o)
	fmt.Fprintf(s.out, "%d replayed\n", n)
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	return errors.Join(err, t.Shutdown(flush))
}

func (c *replayCmd) target(l dlq.Letter) string {
	switch {
	case c.ToQueue != "":
		return "queue " + c.ToQueue
	case c.To == "exchange":
		return fmt.Sprintf("exchange %s by %s", l.Exchange, l.RoutingKey)
	}
	return "queue " + l.Queue
}

type purgeCmd struct {
	choice
	All bool `help:"All letters."`
}

func (c *purgeCmd) run(ctx context.Context, s *session) error {
	if chosen := len(c.ID) > 0 || c.Filter != ""; chosen == c.All {
		return run.UsageError{Err: errors.New("say which letters: --id or --filter, or --all")}
	}
	q, filter, err := c.open(s)
	if err != nil {
		return err
	}
	n, err := q.Purge(ctx, filter)
	fmt.Fprintf(s.out, "%d deleted\n", n)
	return err
}
