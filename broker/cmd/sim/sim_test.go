package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sims runs the command and returns what it printed.
func sims(t *testing.T, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != want {
		t.Fatalf("sim %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String() + stderr.String()
}

// TestSeeds runs whole clusters. A failure prints the seed's faults and how to have it
// again; the numbers of the seeds mean nothing else.
func TestSeeds(t *testing.T) {
	seeds := "20"
	if testing.Short() {
		seeds = "2"
	}
	t.Log(sims(t, exitOK, "--seed", "1", "--seeds", seeds))
}

// TestASeedIsOneRun has the same run twice, to the last byte that its machines say.
func TestASeedIsOneRun(t *testing.T) {
	var logs [2][]byte
	for i := range logs {
		file := filepath.Join(t.TempDir(), "log")
		sims(t, exitOK, "--seed", "12", "--log", file)
		var err error
		if logs[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if len(logs[0]) == 0 || !bytes.Equal(logs[0], logs[1]) {
		t.Fatalf("two runs of one seed differ: %d and %d bytes of log", len(logs[0]), len(logs[1]))
	}
}

// TestABrokenBrokerIsFound makes sure that the checks can fail.
func TestABrokenBrokerIsFound(t *testing.T) {
	out := sims(t, exitViolated, "--seed", "1", "--seeds", "200", "--broken", "ack-before-sync")
	if !strings.Contains(out, "confirmed messages of") || !strings.Contains(out, "again: sim --seed") {
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
		out := sims(t, exitUsage, strings.Fields(c.args)...)
		if !strings.Contains(out, c.want) || strings.Count(out, "\n") != 1 {
			t.Errorf("sim %s: %q, want one line with %q", c.args, out, c.want)
		}
	}
	if out := sims(t, exitOK, "--help"); !strings.Contains(out, "--broken") {
		t.Error(out)
	}
}
