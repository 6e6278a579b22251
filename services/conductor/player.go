package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/warren-mq/warren/services/internal/failure"
)

// onShare is the part of the time between two failures for which one is on; the rest is for recovering.
const onShare = 3

// player switches failures on by itself, one at a time, in any order.
type player struct {
	every  time.Duration
	at     map[string]string // addresses of the services, by name
	own    *failure.Set
	client *http.Client
	log    *slog.Logger
}

func (p player) run(ctx context.Context) error {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		spec := p.pick()
		if err := p.turnOn(ctx, spec); err != nil {
			p.log.Warn("failure not switched on", "kind", spec.Kind, "at", spec.At[0], "error", err)
			continue
		}
		p.log.Info("failure switched on", "kind", spec.Kind, "at", spec.At[0], "for", (p.every / onShare).String())
	}
}

// pick is any failure that can be reached.
func (p player) pick() failure.Spec {
	all := failure.Catalogue()
	for {
		s := all[rand.IntN(len(all))]
		if s.At[0] == failure.Conductor || p.at[s.At[0]] != "" { // the conductor's are always there
			return s
		}
	}
}

func (p player) turnOn(ctx context.Context, s failure.Spec) error {
	on := p.every / onShare
	if s.At[0] == failure.Conductor {
		return p.own.TurnOn(s.Kind, 0, on)
	}
	body, err := json.Marshal(failure.Turn{Seconds: int64(on.Seconds())})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, p.at[s.At[0]]+failure.Path+"/"+string(s.Kind), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, answerBytesMax))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}
