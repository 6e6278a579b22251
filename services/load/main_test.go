package main

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/warren-mq/warren/libs/run"
)

// TestWrongUse: one line says what was wrong, and the exit status is 2.
func TestWrongUse(t *testing.T) {
	for _, args := range []string{"--rate 0", "--rate x", "--rate 20000", "--time -1s", "--steps 10", "--shape sine", "--nonsense", "now"} {
		err := generate(t.Context(), strings.Fields(args), func(string) string { return "" }, io.Discard)
		if _, ok := errors.AsType[run.UsageError](err); !ok || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", args, err)
		}
	}
}
