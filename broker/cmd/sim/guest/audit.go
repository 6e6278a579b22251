//go:build wasip1

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/sim/task"
)

// Times of the auditor.
const (
	answerWait = 5 * time.Second  // for one answer
	readyWait  = 15 * time.Second // for a node to be ready
	readyPause = 100 * time.Millisecond
)

// runAudit tells what each node knows of the queues.
func runAudit(t *task.Audit) error {
	client := &http.Client{Timeout: answerWait, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return network{}.Dial(ctx, addr) },
	}}
	for _, n := range t.Nodes {
		r := task.Record{Kind: task.Listed, Publisher: n}
		if err := audit(client, n, &r); err != nil {
			r.Error = err.Error()
		}
		tell(r)
	}
	return nil
}

// awaitReady waits until a node says that it is ready.
func awaitReady(client *http.Client, addr string) error {
	for began := time.Now(); ; time.Sleep(readyPause) {
		resp, err := client.Get("http://" + addr + task.PortHTTP + "/readyz")
		if err == nil {
			why, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("%s: %s", resp.Status, why)
		}
		if time.Since(began) > readyWait {
			return fmt.Errorf("not ready after %s: %w", readyWait, err)
		}
	}
}

func audit(client *http.Client, addr string, r *task.Record) error {
	if err := awaitReady(client, addr); err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+task.PortHTTP+"/api/queues", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("guest", "guest")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s, %q: %w", resp.Status, b, err)
	}
	var queues []struct {
		Name    string `json:"name"`
		Type    string `json:"type"`
		Ready   int    `json:"messages_ready"`
		Unacked int    `json:"messages_unacknowledged"`
	}
	if err := json.Unmarshal(b, &queues); err != nil {
		return err
	}
	lines := make([]string, 0, len(queues))
	for _, q := range queues {
		lines = append(lines, fmt.Sprintf("%s %s %d %d", q.Name, q.Type, q.Ready, q.Unacked))
		r.Ready += q.Ready
		r.Unacked += q.Unacked
	}
	sort.Strings(lines)
	r.View = strings.Join(lines, "\n")
	return nil
}
