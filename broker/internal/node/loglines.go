package node

import (
	"time"

	"github.com/warren-mq/warren/broker/internal/message"
)

// Lines of the nodes' logs go to a topic exchange, with their level as the key, as
// RabbitMQ's do. What the publication of a line logs itself is published, too: so a node
// publishes so many lines in a second at most.
const (
	logExchange    = "amq.rabbitmq.log"
	logLinesSecond = 200
)

// lineBudget counts the lines of a second. The events' goroutine is its only user.
type lineBudget struct {
	second int64
	lines  int
}

func (b *lineBudget) take(now time.Time) bool {
	if s := now.Unix(); s != b.second {
		b.second, b.lines = s, 0
	}
	b.lines++
	return b.lines <= logLinesSecond
}

// LogLine publishes a line of the log, for whoever has bound a queue to the exchange. It
// never blocks, and is safe from any goroutine.
func (n *Node) LogLine(at time.Time, level, line string) {
	select {
	case n.events.queue <- func() { n.publishLine(at, level, line) }:
	default: // too many are waiting
	}
}

func (n *Node) publishLine(at time.Time, level, line string) {
	if !n.hasBindings("/", logExchange) || !n.events.budget.take(at) {
		return
	}
	p := message.Properties{
		Flags:       message.HasHeaders | message.HasContentType | message.HasTimestamp,
		ContentType: "text/plain", Timestamp: message.Timestamp(at.Unix()),
		Headers: message.Table{{Key: "node", Value: n.cfg.Name}, {Key: "timestamp_in_ms", Value: at.UnixMilli()}},
	}
	n.broadcast("/", &message.Message{Exchange: logExchange, RoutingKey: level, Properties: p.Append(nil), Body: []byte(line)})
}
