// Command balancer spreads TCP connections over the brokers of a cluster, as HAProxy
// does with deploy/haproxy/haproxy.cfg: round robin over the servers that are UP, checks
// by HTTP, sessions of a server that is marked DOWN are closed. It is for machines
// without Docker and for tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/warren-mq/warren/broker/internal/process"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Getenv, os.Stderr) })
}

// run is the whole program: it returns the exit code when ctx has ended.
func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) int {
	cfg, help, err := parse(args, getenv, stderr)
	switch {
	case help:
		return process.ExitOK
	case err != nil:
		fmt.Fprintln(stderr, "balancer:", err)
		return process.ExitUsage
	}
	if err := serve(ctx, cfg, slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		fmt.Fprintln(stderr, "balancer:", err)
		return process.ExitError
	}
	return process.ExitOK
}

// serve runs the balancer until ctx ends.
func serve(ctx context.Context, cfg config, log *slog.Logger) error {
	var lc net.ListenConfig
	front, err := lc.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return err
	}
	p := newProxy(cfg, log)
	var stats net.Listener
	if cfg.Stats != "" {
		if stats, err = lc.Listen(ctx, "tcp", cfg.Stats); err != nil {
			return errors.Join(err, front.Close())
		}
	}
	log.Info("listening", "amqp", front.Addr().String(), "stats", cfg.Stats)
	page := &http.Server{Handler: p.statsHandler(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	if stats != nil {
		go func() { failed <- page.Serve(stats) }() // ends with page.Close
	}
	err = p.run(ctx, front)
	if stats != nil {
		err = errors.Join(err, page.Close())
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
