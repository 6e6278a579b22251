package run_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/warren-mq/warren/libs/run"
)

func ExampleComponents() {
	ctx, cancel := context.WithCancel(context.Background())
	part := func(name string) run.Component {
		return run.Component{
			Name:  name,
			Start: func(context.Context) error { fmt.Println("start", name); return nil },
			Stop:  func(context.Context) error { fmt.Println("stop", name); return nil },
		}
	}
	api := part("api")
	api.Run = func(ctx context.Context) error {
		cancel() // as SIGTERM would, see Main
		<-ctx.Done()
		return nil
	}
	fmt.Println(run.Components(ctx, slog.New(slog.DiscardHandler), part("database"), part("bindings"), api))
	// Output:
	// start database
	// start bindings
	// start api
	// stop api
	// stop bindings
	// stop database
	// <nil>
}

func ExampleParse() {
	var flags struct {
		Rate float64 `help:"Orders a second." default:"50"`
	}
	for _, line := range [][]string{{"--rate", "20"}, {"--rate", "many"}} {
		_, err := run.Parse(&flags, "load", "Places orders.", line, os.Stdout, os.Stderr)
		fmt.Println(flags.Rate, err)
	}
	// Output:
	// 20 <nil>
	// 20 --rate: expected a float but got "many" (string); --help tells more
}

func ExampleMain() {
	// In a program: func main() { os.Exit(run.Main("payment", serve)) }
	serve := func(_ context.Context, _ []string, getenv func(string) string, _ io.Writer) error {
		if getenv("PAYMENT_LIMIT_OF_THE_EXAMPLE") == "" {
			return run.UsageError{Err: errors.New("PAYMENT_LIMIT_OF_THE_EXAMPLE is not set")}
		}
		return nil
	}
	fmt.Println(run.Main("payment", serve))
	// Output: 2
}
