// Command sim runs whole clusters on simulated machines: one run for each seed, with
// killed processes, lost power, bad disks and broken networks, and says whether any
// promise was broken. A run that fails is shortened, and can be had again by its seed.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/warren-mq/warren/broker/internal/process"
	"github.com/warren-mq/warren/broker/internal/sim"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// progressEvery is how often the command says how far it is.
const progressEvery = 10 * time.Second

// config is what the flags say.
type config struct {
	Seed    uint64 `help:"The first seed." default:"1"`
	Seeds   uint64 `help:"How many seeds to run." default:"1"`
	Faults  string `help:"Inject only these of the seed's faults: their numbers, separated by commas, or none." placeholder:"N,..."`
	Workers int    `help:"How many runs at a time; default: one for each core."`
	Broken  string `help:"Run a deliberately broken broker, until that is found: ${breaks}." placeholder:"NAME"`
	Log     string `help:"Write what the machines said in the last failed run, or in the only one, to this file." type:"path"`

	only   []int // nil: all
	broken *sim.Break
}

// parse reads the flags; help says that help was asked for, and given.
func parse(args []string, stdout io.Writer) (c *config, help bool, err error) {
	c = new(config)
	k, err := kong.New(c,
		kong.Name("sim"),
		kong.Description("Runs clusters on simulated machines and checks what clients see. Exit code 3 means that a promise was broken."),
		kong.Vars{"breaks": breakNames()},
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { help = true }),
	)
	if err != nil {
		return nil, false, err
	}
	if _, err := k.Parse(args); err != nil || help {
		return c, help, err
	}
	return c, false, c.check()
}

func (c *config) check() error {
	if c.Seeds < 1 {
		return errors.New("--seeds is 0, want at least 1")
	}
	if c.Workers < 0 {
		return fmt.Errorf("--workers is %d, want at least 1", c.Workers)
	}
	if c.Workers == 0 {
		c.Workers = runtime.NumCPU()
	}
	if c.Faults != "" && c.Seeds > 1 {
		return errors.New("--faults names the faults of one seed: leave out --seeds")
	}
	if c.Faults != "" {
		c.only = []int{}
	}
	if c.Faults != "" && c.Faults != noFaults {
		for f := range strings.SplitSeq(c.Faults, ",") {
			n, err := strconv.Atoi(f)
			if err != nil || n < 0 {
				return fmt.Errorf("--faults: %q is no number of a fault; want numbers from 0 on, separated by commas, or %s", f, noFaults)
			}
			c.only = append(c.only, n)
		}
	}
	if c.Broken != "" {
		i := slices.IndexFunc(sim.Breaks, func(b sim.Break) bool { return b.Name == c.Broken })
		if i < 0 {
			return fmt.Errorf("--broken: %q is not one of %s", c.Broken, breakNames())
		}
		c.broken = &sim.Breaks[i]
	}
	return nil
}

// noFaults is the value of --faults that injects none.
const noFaults = "none"

func breakNames() string {
	names := make([]string, len(sim.Breaks))
	for i, b := range sim.Breaks {
		names[i] = b.Name
	}
	return strings.Join(names, ", ")
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, help, err := parse(args, stdout)
	switch {
	case help:
		return process.ExitOK
	case err != nil:
		fmt.Fprintln(stderr, "sim:", err)
		return process.ExitUsage
	}
	violated, err := c.simulate(ctx, stdout, stderr)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "sim:", err)
		return process.ExitError
	case violated:
		return process.ExitViolated
	}
	return process.ExitOK
}

func (c *config) simulate(ctx context.Context, stdout, stderr io.Writer) (violated bool, err error) {
	program, err := c.program(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, program.Close(context.WithoutCancel(ctx))) }()
	began, said := time.Now(), time.Now()
	var total sim.Counts
	done := 0
	var bad []sim.Result
	var log []byte // of the last of them
	for r := range c.runs(ctx, program) {
		done++
		total.Add(r.Counts)
		if len(r.Wrong) > 0 {
			bad, log = append(bad, r.Result), r.log
			first, _, _ := strings.Cut(r.Wrong[0], "\n")
			fmt.Fprintf(stderr, "seed %d failed: %s\n", r.Seed, first)
		} else if c.Seeds == 1 {
			log = r.log
		}
		if time.Since(said) > progressEvery {
			said = time.Now()
			fmt.Fprintf(stderr, "%d of %d seeds, %d failed, %s simulated in %s\n",
				done, c.Seeds, len(bad), total.Simulated.Round(time.Second), time.Since(began).Round(time.Second))
		}
		if c.broken != nil && len(bad) > 0 {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if c.Log != "" {
		if err := os.WriteFile(c.Log, log, 0o600); err != nil {
			return false, err
		}
	}
	for _, r := range bad {
		if c.only == nil {
			r = sim.Shrink(ctx, program, r)
		}
		c.report(stdout, r)
	}
	fmt.Fprintf(stdout, "%d seeds from %d, %d failed, in %s: %s\n", done, c.Seed, len(bad), time.Since(began).Round(time.Second), total)
	return len(bad) > 0, nil
}

// program builds and compiles what the machines run. Compiling it to the machine's own
// code is kept from run to run.
func (c *config) program(ctx context.Context) (*sim.Program, error) {
	wasm, err := sim.Build(ctx, c.broken)
	if err != nil {
		return nil, err
	}
	cache := ""
	if dir, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(dir, "warren-sim")
	}
	return sim.Load(ctx, wasm, cache)
}

// outcome is a result, and what the machines said.
type outcome struct {
	sim.Result
	log []byte
}

// runs runs the seeds, several at a time, and yields the results as they come.
func (c *config) runs(ctx context.Context, program *sim.Program) func(func(outcome) bool) {
	return func(yield func(outcome) bool) {
		ctx, cancel := context.WithCancel(ctx)
		seeds, results := make(chan uint64), make(chan outcome)
		var workers sync.WaitGroup
		for range c.Workers {
			workers.Go(func() {
				for seed := range seeds {
					var log bytes.Buffer
					r := sim.Run(ctx, program, seed, c.only, &log)
					results <- outcome{r, log.Bytes()}
				}
			})
		}
		go func() {
			defer close(results)
			defer workers.Wait()
			defer close(seeds)
			for i := range c.Seeds {
				select {
				case seeds <- c.Seed + i:
				case <-ctx.Done():
					return
				}
			}
		}()
		more := true
		for r := range results { // to their end: the workers wait for it
			if more {
				if more = yield(r); !more {
					cancel()
				}
			}
		}
		cancel()
	}
}

func (c *config) report(w io.Writer, r sim.Result) {
	fmt.Fprintf(w, "seed %d failed with %d of its %d faults:\n", r.Seed, len(r.Only), len(r.Faults))
	numbers := make([]string, len(r.Only))
	for i, n := range r.Only {
		numbers[i] = strconv.Itoa(n)
		fmt.Fprintf(w, "  %d: %s\n", n, r.Faults[n])
	}
	if len(numbers) == 0 {
		numbers = []string{noFaults}
	}
	for _, v := range r.Wrong {
		fmt.Fprintln(w, " ", strings.ReplaceAll(v, "\n", "\n    "))
	}
	again := fmt.Sprintf("sim --seed %d --faults %s --log run.log", r.Seed, strings.Join(numbers, ","))
	if c.broken != nil {
		again += " --broken " + c.broken.Name
	}
	fmt.Fprintln(w, "  again:", again)
}
