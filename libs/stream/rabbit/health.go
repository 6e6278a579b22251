package rabbit

import (
	"sync"
	"time"

	"github.com/warren-mq/warren/libs/stream"
)

// condition is the state of one binding.
type condition struct {
	mu sync.Mutex
	h  stream.Health
}

func newCondition(b stream.Binding) *condition {
	return &condition{h: stream.Health{
		Binding: b.Name, Destination: b.Destination, Group: b.Group, State: stream.StateStarting, Since: time.Now(),
	}}
}

// set changes the state. A binding that was never up stays STARTING when it fails.
func (c *condition) set(s stream.State, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s == stream.StateDown && c.h.State == stream.StateStarting {
		s = stream.StateStarting
	}
	if c.h.State != s {
		c.h.State, c.h.Since = s, time.Now()
	}
	c.h.Detail = detail
}

func (c *condition) get() stream.Health {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.h
}
