package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/warren-mq/warren/broker/internal/process"
)

// TestSettingsThatCannotWork starts nothing: each is refused with the flag to mend.
func TestSettingsThatCannotWork(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
	}{
		{"run --amqp-tls 127.0.0.1:0", "--amqp-tls, --http-tls and --peer-tls need --tls-cert and --tls-key"},
		{"run --http-tls", "need --tls-cert and --tls-key"},
		{"run --peer-tls --tls-cert c --tls-key k", "--peer-tls needs --tls-ca"},
		{"run --tls-verify require", "--tls-verify needs --tls-ca"},
		{"run --tls-verify perhaps", "--tls-verify must be one of"},
		{"run --tls-min 1.0", "--tls-min must be one of"},
		{"run --tls-login shoe-size", "--tls-login must be one of"},
		{"run --peers a:1 --join b:1", "--peers and --join exclude each other"},
		{"run --amqp nowhere", "want host:port"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), strings.Fields(c.args), &out, &out); code != process.ExitUsage || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit %d: %s, want %s", c.args, code, out.String(), c.want)
		}
	}
}
