package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	amqp "github.com/rabbitmq/amqp091-go"
)

// config is what flags and environment say. The letters are PerfTest's.
type config struct {
	URI       []string `name:"uri" short:"h" default:"amqp://guest:guest@localhost:5672/" help:"Brokers, separated by commas; connections go round them, also after a failure."`
	Producers int      `short:"x" default:"1" help:"Producers, each with a connection of its own."`
	Consumers int      `short:"y" default:"1" help:"Consumers, each with a connection of its own."`
	Queue     string   `short:"u" default:"perf" help:"Queue; with --queue-count the names' beginning."`
	Queues    int      `name:"queue-count" default:"1" help:"Queues, which producers and consumers share out."`
	Size      int      `short:"s" default:"100" help:"Bytes of a message's body."`
	Rate      float64  `short:"r" default:"0" help:"Messages a second and producer; 0 for as many as possible."`
	Rates     []string `name:"variable-rate" placeholder:"RATE:SECONDS" help:"Rates of a producer that take turns, instead of --rate."`
	Taking    float64  `name:"consumer-rate" short:"R" default:"0" help:"Messages a second and consumer; 0 for as many as possible."`
	Confirm   int      `short:"c" default:"100" help:"Publishes of a producer that may await their confirm; 0 for no confirms."`
	Prefetch  int      `name:"qos" short:"q" default:"200" help:"Deliveries of a consumer that may await their ack; 0 for no limit."`
	AckEvery  int      `name:"multi-ack-every" short:"A" default:"1" help:"Ack so many deliveries at once."`
	Seconds   int      `name:"time" short:"z" default:"0" help:"End after so many seconds; 0 for no end but --pmessages or an interrupt."`
	Count     uint64   `name:"pmessages" short:"C" default:"0" help:"Messages of each producer; 0 for no limit."`

	Quorum    bool `help:"Declare quorum queues."`
	AutoAck   bool `name:"auto-ack" help:"Consume without acks."`
	Transient bool `help:"Publish messages that need not survive a restart; classic queues are then not durable."`
	Keep      bool `help:"Leave the queues behind."`
	JSON      bool `name:"json" help:"Write the result as JSON."`

	Interval time.Duration `short:"i" default:"1s" help:"Time between two lines of progress, and two points of the plot."`
	Plot     string        `type:"path" help:"Draw rates and latencies over time into this file: HTML if its name ends so, else SVG."`

	Drain time.Duration `default:"5s" help:"How long to wait, without any progress, for messages still on their way."`

	rates []rateStep
}

const (
	envPrefix   = "PERF_"
	workersMax  = 10_000
	bodySizeMax = 128 << 20
	intervalMin = 100 * time.Millisecond
)

// leave carries kong's wish to exit through its parser.
type leave struct{}

// parse reads the flags; what they leave open, the environment may say. help is set if
// help was asked for and has been written.
func parse(args []string, getenv func(string) string, stdout io.Writer) (cfg config, help bool, err error) {
	env := func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		if v := getenv(envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))); v != "" {
			return v, nil
		}
		return nil, nil //nolint:nilnil // kong's way to say: nothing here
	}
	k, err := kong.New(&cfg,
		kong.Name("perf"),
		kong.Description("Loads an AMQP 0-9-1 broker, measures it and keeps a ledger of every message. Exit code 3 means that a confirmed message was lost. Every flag can come from the environment: --queue-count is PERF_QUEUE_COUNT."),
		kong.NoDefaultHelp(),
		kong.Resolvers(kong.ResolverFunc(env)),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { panic(leave{}) }),
	)
	if err != nil {
		return config{}, false, err
	}
	for _, a := range args { // -h is the URI, as in PerfTest
		if a == "--help" || a == "-?" {
			ctx, err := kong.Trace(k, nil)
			if err == nil {
				err = ctx.PrintUsage(false)
			}
			return config{}, true, err
		}
	}
	if _, err := k.Parse(args); err != nil {
		return config{}, false, err
	}
	err = cfg.check()
	return cfg, false, err
}

func (c *config) check() error {
	var errs []error
	for _, u := range c.URI {
		if _, err := amqp.ParseURI(u); err != nil {
			errs = append(errs, fmt.Errorf("uri %q: %w", u, err))
		}
	}
	if c.Producers < 0 || c.Consumers < 0 || c.Producers+c.Consumers == 0 || max(c.Producers, c.Consumers) > workersMax {
		errs = append(errs, fmt.Errorf("there must be between 1 and %d producers and consumers", workersMax))
	}
	if c.Queues < 1 || c.Queue == "" {
		errs = append(errs, errors.New("there must be a queue, with a name"))
	}
	if c.Size < 0 || c.Size > bodySizeMax {
		errs = append(errs, fmt.Errorf("size is not between 0 and %d", bodySizeMax))
	}
	if c.Rate < 0 || c.Confirm < 0 || c.Prefetch < 0 || c.Prefetch > 65535 || c.AckEvery < 1 || c.Seconds < 0 || c.Drain < 0 {
		errs = append(errs, errors.New("a number is out of its range"))
	}
	var err error
	if c.rates, err = parseRates(c.Rates); err != nil {
		errs = append(errs, err)
	}
	if c.Interval < intervalMin || !(c.Taking >= 0 && c.Taking <= rateMax) || c.Rate > rateMax {
		errs = append(errs, fmt.Errorf("the interval must be at least %s, rates at most %.0f", intervalMin, rateMax))
	}
	if c.AckEvery > 1 && c.Prefetch > 0 && c.AckEvery > c.Prefetch {
		errs = append(errs, errors.New("--multi-ack-every is larger than --qos: nothing would ever be acked"))
	}
	return errors.Join(errs...)
}

// queueName returns the name of queue i.
func (c *config) queueName(i int) string {
	if c.Queues == 1 {
		return c.Queue
	}
	return fmt.Sprintf("%s-%d", c.Queue, i%c.Queues+1)
}
