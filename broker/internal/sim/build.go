package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const modulePath = "github.com/warren-mq/warren/broker"

// Break is a mistake that the simulator must find: in File, below the broker's module,
// New takes the place of Old.
type Break struct {
	Name, File, Old, New string
}

// Breaks are the mistakes that a replicated log must not make.
var Breaks = []Break{
	{
		Name: "ack-before-sync", File: "internal/storage/log.go",
		Old: "return s.write(&l.next, !l.opts.NoSync)",
		New: "return s.write(&l.next, false)",
	},
	{
		Name: "forget-votes", File: "internal/raftnode/recovery.go",
		Old: "return &raftpb.HardState{Term: new(r.u64()), Vote: new(r.u64()), Commit: new(r.u64())}, nil",
		New: "h := &raftpb.HardState{Term: new(r.u64()), Vote: new(r.u64()), Commit: new(r.u64())}\n\th.Vote = new(uint64(0))\n\treturn h, nil",
	},
	{
		Name: "no-tail-check", File: "internal/storage/recovery.go",
		Old: "case found:",
		New: "case found && later < 0:",
	},
	{
		Name: "reuse-identity", File: "internal/node/identity.go",
		Old: "_, _ = rand.Read(r[:]) // never fails",
		New: "_, _ = rand.Read(nil)\n\t\tcopy(r[:], name)",
	},
}

// probes are compiled into every program: replicas tell the simulator what they apply and
// which terms they lead. What the product ships has no such seam.
var probes = []Break{
	{
		Name: "applied", File: "internal/raftnode/group.go",
		Old: "g.applied, g.appliedT = e.GetIndex(), e.GetTerm()\n\t\tswitch",
		New: "g.applied, g.appliedT = e.GetIndex(), e.GetTerm()\n\t\ttellApplied(g.ID, e.GetIndex(), e.GetTerm(), e.GetData())\n\t\tswitch",
	},
	{
		Name: "leads", File: "internal/raftnode/group.go",
		Old: "if role != g.role {\n",
		New: "if role != g.role {\n\t\tif role.Self {\n\t\t\ttellLeads(g.ID, role.Term)\n\t\t}\n",
	},
}

// A file that exists in the program only.
const (
	probeFile = "internal/raftnode/probe_sim.go"
	probeText = `package raftnode

import "unsafe"

//go:wasmimport warren applied
func hostApplied(group, index, term uint64, b unsafe.Pointer, n uint32) int64

//go:wasmimport warren leads
func hostLeads(group, term uint64) int64

func tellLeads(group, term uint64) { hostLeads(group, term) }

func tellApplied(group, index, term uint64, b []byte) {
	hostApplied(group, index, term, unsafe.Pointer(unsafe.SliceData(b)), uint32(len(b)))
}
`
)

// Build compiles the program that the simulated machines run, with Go's own tools, and
// returns it. A break, if not nil, is compiled in; the files on disk stay as they are.
func Build(ctx context.Context, b *Break) ([]byte, error) {
	dir, err := os.MkdirTemp("", "warren-sim-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root, err := goTool(ctx, "list", "-m", "-f", "{{.Dir}}", modulePath)
	if err != nil {
		return nil, err
	}
	other := map[string][]byte{filepath.Join(root, probeFile): []byte(probeText)}
	changes := probes
	if b != nil {
		changes = append([]Break{*b}, probes...)
	}
	for _, c := range changes {
		file := filepath.Join(root, c.File)
		if other[file] == nil {
			if other[file], err = os.ReadFile(file); err != nil {
				return nil, err
			}
		}
		if other[file], err = c.apply(other[file]); err != nil {
			return nil, err
		}
	}
	overlay, err := writeOverlay(dir, other)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "guest.wasm")
	if _, err := goTool(ctx, "build", "-o", out, "-overlay", overlay, modulePath+"/cmd/sim/guest"); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// apply returns the file's text with the change in it.
func (b *Break) apply(text []byte) ([]byte, error) {
	if n := bytes.Count(text, []byte(b.Old)); n != 1 {
		return nil, fmt.Errorf("%s: what %s replaces is there %d times", b.File, b.Name, n)
	}
	return bytes.Replace(text, []byte(b.Old), []byte(b.New), 1), nil
}

// writeOverlay writes the file that tells Go's compiler to read others, and those. It
// returns the name of the first.
func writeOverlay(dir string, files map[string][]byte) (string, error) {
	replace := map[string]string{}
	for file, text := range files {
		replace[file] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[file], text, 0o600); err != nil {
			return "", err
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, content, 0o600)
}

func goTool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	if args[0] == "build" {
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}
