package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// columns are what list_queues can show, and the key of the API it comes from.
var columns = map[string]string{
	"name": "name", "vhost": "vhost", "type": "type", "durable": "durable", "auto_delete": "auto_delete",
	"exclusive": "exclusive", "arguments": "arguments", "policy": "policy", "state": "state",
	"messages": "messages", "messages_ready": "messages_ready", "messages_unacknowledged": "messages_unacknowledged",
	"message_bytes": "message_bytes", "consumers": "consumers",
	"leader": "leader", "node": "node", "members": "members", "online": "online",
	"pid": "leader", "slave_pids": "slave_nodes", "mirror_pids": "slave_nodes",
	"synchronised_slave_pids": "synchronised_slave_nodes", "synchronised_mirror_pids": "synchronised_slave_nodes",
}

type listQueuesCmd struct {
	Columns []string `arg:"" optional:"" help:"Columns; default: name messages."`
}

// Run implements the command.
func (c *listQueuesCmd) Run(s *session) error {
	if len(c.Columns) == 0 {
		c.Columns = []string{"name", "messages"}
	}
	for _, col := range c.Columns {
		if columns[col] == "" {
			return fmt.Errorf("%w: list_queues has no column %q; did you mean %q?", errUsage, col, nearest(col))
		}
	}
	var queues []map[string]any
	if err := s.client.call(s.ctx, http.MethodGet, "/api/queues/"+url.PathEscape(s.vhost), nil, &queues); err != nil {
		return err
	}
	s.heading("Listing queues for vhost %s ...", s.vhost)
	s.heading("%s", strings.Join(c.Columns, "\t"))
	for _, q := range queues {
		row := make([]string, len(c.Columns))
		for i, col := range c.Columns {
			row[i] = cell(q[columns[col]])
		}
		fmt.Fprintln(s.out, strings.Join(row, "\t"))
	}
	return nil
}

// cell renders a value as rabbitmqctl does.
func cell(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return strconv.FormatInt(int64(x), 10)
	case []any:
		parts := make([]string, len(x))
		for i := range x {
			parts[i] = cell(x[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		b, err := json.Marshal(x)
		if err != nil {
			return "?"
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

// nearest returns the column whose name is least different.
func nearest(word string) string {
	best, bestCost := "", 1<<30
	for name := range columns {
		if cost := distance(word, name); cost < bestCost || cost == bestCost && name < best {
			best, bestCost = name, cost
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
		}
	}
	return row[len(b)]
}
