// Command conductor makes the failures of the brokers where the demo does not: in containers. As an agent it runs a broker as its
// child, in the broker's own container, and kills, freezes or restarts it when told; nobody needs the engine's socket for that.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/failure"
)

func main() { os.Exit(run.Main(failure.Conductor, conduct)) }

// conduct runs the agent when the first argument says so, else the conductor.
func conduct(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	if len(args) > 0 && args[0] == "agent" {
		if len(args) == 1 {
			return run.UsageError{Err: fmt.Errorf("agent: want the program to run, and its arguments")}
		}
		return newAgent(args[1:], log).run(ctx, agentAddress)
	}
	cfg, err := readConfig(getenv)
	if err != nil {
		return err
	}
	if done, err := chassis.Command(ctx, chassis.Config{Address: cfg.address}, args); done {
		return err
	}
	failures := failure.New(failure.Conductor)
	server := httpserver.New(httpserver.Config{Service: failure.Conductor, Address: cfg.address, Logger: log})
	failure.Routes(server.API, failures)
	brokers := newBrokers(cfg.management)
	conductor := system.Conductor{Brokers: brokers, Failures: failures, Log: log}
	parts := []run.Component{
		{Name: "address", Start: server.Start},
		{Name: "conductor", Run: conductor.Run},
		{Name: "http", Run: server.Run},
	}
	if cfg.every > 0 {
		p := player{every: cfg.every, at: cfg.peers, own: failures, client: brokers.client, log: log}
		parts = slices.Insert(parts, 2, run.Component{Name: "player", Run: p.run})
	}
	return run.Components(ctx, log, parts...)
}
