package dlq

import "github.com/warren-mq/warren/libs/stream/expr"

// Where returns a filter of an expression: headers['x-exception-message'] matches '.*timeout.*', payload.total > 100. Beside the
// message's own headers it knows reason, queue, exchange, routingKey, count and replays of the letter, as headers of
// those names below "letter.": headers['letter.reason'].
func Where(text string) (Filter, error) {
	e, err := expr.Compile(text)
	if err != nil {
		return nil, err
	}
	return func(l Letter) (bool, error) { return e.Bool(subject{expr.Of(l.Message), l}) }, nil
}

type subject struct {
	expr.Subject
	l Letter
}

// Header implements [expr.Subject].
func (s subject) Header(key string) any {
	switch key {
	case "letter.reason":
		return s.l.Reason
	case "letter.queue":
		return s.l.Queue
	case "letter.exchange":
		return s.l.Exchange
	case "letter.routingKey":
		return s.l.RoutingKey
	case "letter.count":
		return s.l.Count
	case "letter.replays":
		return s.l.Replays
	}
	return s.Subject.Header(key)
}

// ByID returns a filter for the letters with one of the message ids.
func ByID(ids ...string) Filter {
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	return func(l Letter) (bool, error) { return wanted[l.Message.ID], nil }
}

// And returns a filter for what all of them choose; a nil one chooses all.
func And(filters ...Filter) Filter {
	return func(l Letter) (bool, error) {
		for _, f := range filters {
			if f == nil {
				continue
			}
			if ok, err := f(l); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	}
}
