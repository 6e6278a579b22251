package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/internal/process"
)

// program is the command. The race detector would see nothing in it but slow it down: the
// simulated programs are not Go's to watch.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "warren-sim-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "sim")
	code := 1
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// deadline is far more than the runs of one test take.
const deadline = 10 * time.Minute

// sims runs the command and returns what it printed.
func sims(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != want {
		t.Fatalf("sim %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, want, out)
	}
	return string(out)
}

// TestSeeds runs whole clusters. A failure prints the seed's faults and how to have it
// again; the numbers of the seeds mean nothing else.
func TestSeeds(t *testing.T) {
	seeds := "20"
	if testing.Short() {
		seeds = "2"
	}
	t.Log(sims(t, process.ExitOK, "--seed", "1", "--seeds", seeds))
}

// TestASeedIsOneRun has the same run twice, to the last byte that its machines say.
func TestASeedIsOneRun(t *testing.T) {
	var logs [2][]byte
	for i := range logs {
		file := filepath.Join(t.TempDir(), "log")
		sims(t, process.ExitOK, "--seed", "12", "--log", file)
		var err error
		if logs[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if len(logs[0]) == 0 || !bytes.Equal(logs[0], logs[1]) {
		t.Fatalf("two runs of one seed differ: %d and %d bytes of log", len(logs[0]), len(logs[1]))
	}
}

// TestABrokenBrokerIsFound makes sure that the checks can fail: a log that is never synced
// does not outlive a power cut, and no node starts over what is left of it.
func TestABrokenBrokerIsFound(t *testing.T) {
	out := sims(t, process.ExitViolated, "--seed", "23", "--faults", "1", "--broken", "ack-before-sync")
	if !strings.Contains(out, "wal/") || !strings.Contains(out, "again: sim --seed 23 --faults 1") {
		t.Fatal(out)
	}
}

func TestWrongUse(t *testing.T) {
	for _, c := range []struct {
		args, want string
	}{
		{"--seeds 0", "--seeds is 0, want at least 1"},
		{"--workers=-1", "--workers is -1, want at least 1"},
		{"--faults 1 --seeds 2", "--faults names the faults of one seed"},
		{"--faults x", `--faults: "x" is no number of a fault; want numbers from 0 on, separated by commas, or none`},
		{"--broken x", `--broken: "x" is not one of ack-before-sync, `},
		{"more", "unexpected argument more"},
		{"--sed 1", "unknown flag --sed"},
	} {
		out := sims(t, process.ExitUsage, strings.Fields(c.args)...)
		if !strings.Contains(out, c.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("sim %s: %q, want one line with %q", c.args, out, c.want)
		}
	}
	if out := sims(t, process.ExitOK, "--help"); !strings.Contains(out, "--broken") {
		t.Error(out)
	}
}
