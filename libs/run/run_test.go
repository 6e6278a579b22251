package run

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// part records what happens to it.
func part(name string, log *[]string, change func(*Component)) Component {
	c := Component{
		Name:  name,
		Start: func(context.Context) error { *log = append(*log, "start "+name); return nil },
		Run:   func(ctx context.Context) error { <-ctx.Done(); *log = append(*log, "ended "+name); return ctx.Err() },
		Stop:  func(context.Context) error { *log = append(*log, "stop "+name); return nil },
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestComponents(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name   string
		change func(*Component) // of the second part
		cancel bool
		want   string
		err    string
	}{
		{"in order and back", nil, true, "start a,start b,ended b,stop b,ended a,stop a", ""},
		{"start fails", func(c *Component) { c.Start = func(context.Context) error { return boom } }, false, "start a,ended a,stop a", "start b: boom"},
		{"run fails", func(c *Component) { c.Run = func(context.Context) error { return boom } }, false, "start a,start b,stop b,ended a,stop a", "b: boom"},
		{"run ends", func(c *Component) { c.Run = func(context.Context) error { return nil } }, false, "start a,start b,stop b,ended a,stop a", "ended by itself"},
		{"stop fails", func(c *Component) { c.Stop = func(context.Context) error { return boom } }, true, "start a,start b,ended b,ended a,stop a", "stop b: boom"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log []string
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel {
					time.AfterFunc(time.Second, cancel)
				}
				err := Components(ctx, slog.New(slog.DiscardHandler), part("a", &log, nil), part("b", &log, c.change))
				if !slices.Equal(log, strings.Split(c.want, ",")) {
					t.Errorf("got %v", log)
				}
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
			})
		})
	}
}

func TestADeadlineEndsAStuckPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		free := make(chan struct{})
		err := Components(ctx, slog.New(slog.DiscardHandler), Component{Name: "stuck", StopTimeout: time.Minute,
			Run: func(context.Context) error { <-free; return nil }})
		if err == nil || !strings.Contains(err.Error(), "deadline") {
			t.Errorf("got %v", err)
		}
		close(free)
	})
}
