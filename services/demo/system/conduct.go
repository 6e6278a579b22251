package system

import (
	"context"
	"log/slog"

	"github.com/warren-mq/warren/libs/httpserver"
	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/services/internal/failure"
)

// Conduct serves the switches of the brokers' failures and makes them, and starts services that end by themselves again, until ctx
// ends. told is called for each service that was; more runs beside it.
func (s *System) Conduct(ctx context.Context, log *slog.Logger, told func(name string), more ...run.Component) error {
	failures := failure.New(failure.Conductor)
	server := httpserver.New(httpserver.Config{Service: failure.Conductor, Address: s.ConductorAddress(), Logger: log})
	failure.Routes(server.API, failures)
	conductor := Conductor{Brokers: s, Failures: failures, Log: log}
	parts := []run.Component{
		{Name: "address", Start: server.Start},
		{Name: "conductor", Run: conductor.Run},
		{Name: "tending", Run: func(ctx context.Context) error { return s.Tend(ctx, told) }},
	}
	parts = append(parts, more...)
	return run.Components(ctx, log, append(parts, run.Component{Name: "http", Run: server.Run})...)
}
