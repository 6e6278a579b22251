package e2e

import (
	"fmt"
	"strings"

	"github.com/warren-mq/warren/services/demo/system"
)

type queue struct {
	Name     string
	Leader   string
	Messages int
}

// queues asks the first node that answers.
func (r run) queues() ([]queue, error) {
	var err error
	for n := 1; n <= system.Nodes; n++ {
		var out []queue
		if r.PID(system.BrokerName(n)) == 0 {
			continue
		}
		if _, err = call(r.t.Context(), "GET", r.ManagementURL(n)+"/api/queues", nil, &out); err == nil {
			for i := range out {
				out[i].Leader = r.NodeName(out[i].Leader)
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("no node answers: %w", err)
}

// busiest returns the queue of the services with most messages.
func (r run) busiest() (queue, error) {
	all, err := r.queues()
	if err != nil {
		return queue{}, err
	}
	var top queue
	for _, q := range all {
		if strings.HasSuffix(q.Name, ".dlq") || strings.HasSuffix(q.Name, "."+spyGroup) {
			continue
		}
		if top.Leader == "" || q.Messages > top.Messages {
			top = q
		}
	}
	if top.Leader == "" {
		return queue{}, fmt.Errorf("no queue has a leader: %v", all)
	}
	return top, nil
}

// drained is nil when no queue holds a message.
func (r run) drained() error {
	all, err := r.queues()
	if err != nil {
		return err
	}
	var full []string
	for _, q := range all {
		if q.Messages > 0 {
			full = append(full, fmt.Sprintf("%s: %d", q.Name, q.Messages))
		}
	}
	if len(full) > 0 {
		return fmt.Errorf("messages left in %s", strings.Join(full, ", "))
	}
	return nil
}
