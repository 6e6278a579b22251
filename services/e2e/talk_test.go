package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/warren-mq/warren/services/demo/system"
)

const talkTimeout = 3 * time.Minute

// TestTalk does the talk's experiments on the bundled broker; make talk does them on RabbitMQ, too.
func TestTalk(t *testing.T) {
	if os.Getenv(system.BrokerSetting) == string(system.RabbitMQ) {
		t.Skip("make talk does them on RabbitMQ")
	}
	ctx, cancel := context.WithTimeout(t.Context(), talkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "talk"), "--on", "warren")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops what it has started
	cmd.WaitDelay = time.Minute
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("%v\n%s", err, stderr.Bytes())
	}
	t.Logf("\n%s", stdout.Bytes())
}
