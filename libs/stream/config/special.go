package config

import (
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
)

func partitionSelector(b *bind, e *expr.Expr) {
	b.Producer.PartitionSelector = func(key any) (int, error) {
		n, err := e.Int(expr.KeySubject{Value: key})
		return int(n), err
	}
}

func delay(b *bind, e *expr.Expr) {
	b.Producer.DelayFrom = func(m stream.Raw) (time.Duration, error) { return e.Millis(expr.Of(m)) }
}

func routingKey(b *bind, e *expr.Expr) {
	b.Producer.RoutingKeyFrom = func(m stream.Raw) (string, error) { return e.Text(expr.Of(m)) }
}

// orderKey cannot fail a message: those without a key share one.
func orderKey(b *bind, e *expr.Expr) {
	b.Consumer.OrderKey = func(m stream.Raw) string {
		s, err := e.Text(expr.Of(m))
		if err != nil {
			return ""
		}
		return s
	}
}

// headerMode none lets no header through.
func headerMode(patterns func(*bind) *[]string) property {
	return oneOf(map[string]func(*bind){"headers": nil, "none": func(b *bind) { *patterns(b) = []string{"!*"} }}).
		noted("`headers` and `none`; Rabbit refuses `embeddedHeaders` in Spring, too")
}

func optional(field func(*bind) **string) property {
	return property{set: func(b *bind, e entry, _ []string) error {
		s := strings.TrimSpace(e.text)
		*field(b) = &s
		return nil
	}}
}

func durations(field func(*bind) *[]time.Duration) property {
	return property{set: func(b *bind, e entry, _ []string) error {
		if !e.list {
			*field(b) = nil
		}
		for _, s := range split(e.text, ",") {
			d, err := duration(s)
			if err != nil {
				return err
			}
			*field(b) = append(*field(b), d)
		}
		return nil
	}}
}

// splitKeys splits the binding key that came before; entries are applied so that it does, see apply.
func splitKeys(q *stream.QueueProperties, delimiter string) error {
	if len(q.BindingRoutingKeys) > 0 {
		q.BindingRoutingKeys = split(strings.Join(q.BindingRoutingKeys, delimiter), delimiter)
	}
	return nil
}

func merged(tables ...properties) properties {
	all := properties{}
	for _, t := range tables {
		for k, p := range t {
			all[k] = p
		}
	}
	return all
}
