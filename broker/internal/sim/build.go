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

// Build compiles the program that the simulated machines run, with Go's own tools, and
// returns it. A break, if not nil, is compiled in; the files on disk stay as they are.
func Build(ctx context.Context, b *Break) ([]byte, error) {
	dir, err := os.MkdirTemp("", "warren-sim-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "guest.wasm")
	args := []string{"build", "-o", out}
	if b != nil {
		overlay, err := b.overlay(ctx, dir)
		if err != nil {
			return nil, err
		}
		args = append(args, "-overlay", overlay)
	}
	if _, err := goTool(ctx, append(args, modulePath+"/cmd/sim/guest")...); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// overlay writes the file that tells Go's compiler to read another one.
func (b *Break) overlay(ctx context.Context, dir string) (string, error) {
	root, err := goTool(ctx, "list", "-m", "-f", "{{.Dir}}", modulePath)
	if err != nil {
		return "", err
	}
	file := filepath.Join(root, b.File)
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(b.Old)); n != 1 {
		return "", fmt.Errorf("%s: what %s replaces is there %d times", b.File, b.Name, n)
	}
	broken, list := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(broken, bytes.Replace(text, []byte(b.Old), []byte(b.New), 1), 0o600); err != nil {
		return "", err
	}
	content, err := json.Marshal(map[string]map[string]string{"Replace": {file: broken}})
	if err != nil {
		return "", err
	}
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
