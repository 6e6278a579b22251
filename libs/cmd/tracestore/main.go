// Command tracestore is a Jaeger-compatible trace store in one process: OTLP in, Jaeger's query API and one page out.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/libs/tracestore"
)

type flags struct {
	Query    string `help:"Address of the page and the query API; - is off." default:"127.0.0.1:16686" env:"TRACESTORE_QUERY" placeholder:"HOST:PORT"`
	OTLPHTTP string `name:"otlp-http" help:"Address of OTLP over HTTP; - is off." default:"127.0.0.1:4318" env:"TRACESTORE_OTLP_HTTP" placeholder:"HOST:PORT"`
	OTLPGRPC string `name:"otlp-grpc" help:"Address of OTLP over gRPC; - is off." default:"127.0.0.1:4317" env:"TRACESTORE_OTLP_GRPC" placeholder:"HOST:PORT"`
	MaxMiB   int    `name:"max-mib" help:"Traces kept, in MiB; the oldest go first." default:"256" env:"TRACESTORE_MAX_MIB"`
}

func main() { os.Exit(run.Main("tracestore", serve)) }

func serve(ctx context.Context, args []string, _ func(string) string, stderr io.Writer) error {
	var f flags
	k, err := run.Parse(&f, "tracestore", "A Jaeger-compatible trace store: OTLP in, Jaeger's query API and one page out. Traces live in memory.", args, os.Stdout, stderr)
	if k == nil {
		return err
	}
	if f.MaxMiB < 1 {
		return run.UsageError{Err: errors.New("--max-mib must be at least 1")}
	}
	s := tracestore.NewServer(tracestore.Config{
		QueryAddress: f.Query, OTLPHTTPAddress: f.OTLPHTTP, OTLPGRPCAddress: f.OTLPGRPC, BytesMax: f.MaxMiB << 20,
	})
	return run.Components(ctx, slog.New(slog.DiscardHandler), run.Component{
		Name: "tracestore",
		Start: func(ctx context.Context) error {
			if err := s.Start(ctx); err != nil {
				return err
			}
			fmt.Fprintf(stderr, "tracestore: page %s  otlp/http %s  otlp/grpc %s\n", s.QueryURL(), s.OTLPHTTPURL(), s.OTLPGRPCURL())
			return nil
		},
		Run: s.Run,
	})
}
