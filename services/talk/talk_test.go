package main

import (
	"strings"
	"testing"

	"github.com/warren-mq/warren/services/demo/system"
)

// filled is a table in which everything is as expected.
func filled() *table {
	t := newTable()
	for _, e := range experiments {
		for _, b := range []system.Broker{system.Warren, system.RabbitMQ} {
			t.saw(e, b, e.expected(b))
		}
	}
	return t
}

func TestTableTellsWhatIsNotAsExpected(t *testing.T) {
	var leader *experiment
	for _, e := range experiments {
		if e.wantRabbitMQ != "" {
			leader = e
		}
	}
	tests := []struct {
		name   string
		change func(t *table)
		ok     bool
		shows  string
	}{
		{"all as expected", func(*table) {}, true, "**no**"},
		{"Warren loses one", func(t *table) { t.saw(experiments[1], system.Warren, "gets 4") }, false, "| gets 5 | **not as expected:** gets 4 | gets 5 |"},
		{"RabbitMQ is not there", func(t *table) { t.leftOut(system.RabbitMQ, "not installed") }, true, "| not run: not installed |"},
		{"RabbitMQ does what only Warren should", func(t *table) { t.saw(leader, system.RabbitMQ, leader.want) }, false, "**not as expected:** " + leader.want + " |"},
		{"Warren does what only RabbitMQ should", func(t *table) { t.saw(leader, system.Warren, leader.wantRabbitMQ) }, false, "**not as expected:** " + leader.wantRabbitMQ},
		{"an experiment was not done", func(t *table) { delete(t.seen, experiments[0]) }, false, "**not as expected:** not done"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tb := filled()
			tt.change(tb)
			var b strings.Builder
			tb.write(&b)
			if tb.asExpected() != tt.ok {
				t.Errorf("asExpected is %t", !tt.ok)
			}
			if shown := strings.Contains(b.String(), tt.shows); shown != (tt.shows != "**no**") {
				t.Errorf("%q shown: %t, in\n%s", tt.shows, shown, b.String())
			}
			if rows := strings.Count(b.String(), "\n"); rows != len(experiments)+2 {
				t.Errorf("%d lines", rows)
			}
		})
	}
}

// TestNodesOfProcessIDs: both brokers' ways to write where a queue is.
func TestNodesOfProcessIDs(t *testing.T) {
	s := &stage{}
	for text, want := range map[string]string{
		"<broker-2@localhost.1732335000.600.0>":                                          "broker-2",
		"[<broker-3@localhost.1732335000.600.0>, <broker-1@localhost.1732335000.600.0>]": "broker-1 broker-3",
		"[broker-3, broker-1]": "broker-1 broker-3", "broker-2": "broker-2", "": "", "[]": "",
	} {
		if got := strings.Join(s.nodes(text), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
