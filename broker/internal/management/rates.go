package management

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/warren-mq/warren/broker/internal/node"
)

// statKeys name the counters as RabbitMQ's API does.
var statKeys = map[string]node.Stat{
	"publish": node.StatPublish, "confirm": node.StatConfirm, "return_unroutable": node.StatReturn, "drop_unroutable": node.StatDrop,
	"deliver": node.StatDeliver, "deliver_no_ack": node.StatDeliverNoAck, "redeliver": node.StatRedeliver, "get": node.StatGet,
	"get_no_ack": node.StatGetNoAck, "get_empty": node.StatGetEmpty, "ack": node.StatAck,
}

// detailsOf are the names of what stands beside the counters.
var detailsOf = func() map[string]string {
	of := map[string]string{}
	for key := range statKeys {
		of[key] = key + "_details"
	}
	return of
}()

// deliverGet is the sum of all ways to a client.
var deliverGet = []node.Stat{node.StatDeliver, node.StatDeliverNoAck, node.StatGet, node.StatGetNoAck}

// span is which samples a client wants: of the last age seconds, one in each incr seconds.
type span struct{ age, incr int64 }

// spans are what clients ask for with lengths_age and lengths_incr, msg_rates_age and
// msg_rates_incr, data_rates_age and data_rates_incr; zero: no samples.
type spans struct{ lengths, rates span }

// spanMax bounds how many samples an answer holds.
const spanMax = 10_000

func parseSpans(q url.Values) (s spans, err error) {
	for prefix, to := range map[string]*span{"lengths": &s.lengths, "msg_rates": &s.rates, "data_rates": {}} {
		for suffix, to := range map[string]*int64{"_age": &to.age, "_incr": &to.incr} {
			text := q.Get(prefix + suffix)
			if text == "" {
				continue
			}
			if *to, err = strconv.ParseInt(text, 10, 32); err != nil || *to < 1 {
				return s, fmt.Errorf("%w: %s%s is %q, not a number of seconds from 1", errBadRequest, prefix, suffix, text)
			}
		}
		if (to.age > 0) != (to.incr > 0) || to.age > to.incr*spanMax {
			return s, fmt.Errorf("%w: %s_age and %s_incr go together, and give at most %d samples", errBadRequest, prefix, prefix, spanMax)
		}
	}
	return s, nil
}

func (s spans) any() bool { return s.lengths.age > 0 || s.rates.age > 0 }

// atRest is what stands beside a number that does not change. Nobody changes it, either.
var atRest = map[string]any{"rate": 0.0}

// details returns what stands beside a number: its rate, and how it went, if asked.
func details(rate float64, history []node.Sample, s span, value func(*node.Sample) uint64) map[string]any {
	sampled := s.age > 0 && len(history) > 0
	if rate == 0 && !sampled {
		return atRest
	}
	d := map[string]any{"rate": round(rate)}
	if !sampled {
		return d
	}
	end := history[len(history)-1].At
	samples := []map[string]any{}
	var sum, first, last uint64
	for at, i := end, len(history)-1; at >= end-s.age*1000; at -= s.incr * 1000 {
		for i > 0 && history[i].At > at {
			i--
		}
		if history[i].At > at {
			break // before the first sample
		}
		v := between(history, i, at, value)
		if len(samples) == 0 {
			last = v
		}
		first = v
		sum += v
		samples = append(samples, map[string]any{"sample": v, "timestamp": at})
	}
	d["samples"] = samples
	if n := len(samples); n > 0 {
		d["avg"] = round(float64(sum) / float64(n))
		if seconds := float64(int64(n-1) * s.incr); seconds > 0 && last >= first {
			d["avg_rate"] = round(float64(last-first) / seconds)
		}
	}
	return d
}

// between returns a value at a time from that of sample i on, on the line to the next one.
func between(history []node.Sample, i int, at int64, value func(*node.Sample) uint64) uint64 {
	v := value(&history[i])
	if i+1 == len(history) || at <= history[i].At {
		return v
	}
	next, share := value(&history[i+1]), float64(at-history[i].At)/float64(history[i+1].At-history[i].At)
	return uint64(float64(v) + share*(float64(next)-float64(v)) + 0.5)
}

func round(v float64) float64 { return float64(int64(v*100+0.5)) / 100 }

// messageStats returns an object's counters; nil if nothing was counted.
func messageStats(c *node.Counts, r *node.Rates, history []node.Sample, s span, keys ...string) map[string]any {
	if *c == (node.Counts{}) {
		return nil
	}
	m := map[string]any{}
	for _, key := range keys {
		i := statKeys[key]
		m[key] = c[i]
		m[detailsOf[key]] = details(r[i], history, s, func(x *node.Sample) uint64 { return x.Counts[i] })
	}
	var sum uint64
	var rate float64
	for _, i := range deliverGet {
		sum += c[i]
		rate += r[i]
	}
	m["deliver_get"] = sum
	m["deliver_get_details"] = details(rate, history, s, func(x *node.Sample) (n uint64) {
		for _, i := range deliverGet {
			n += x.Counts[i]
		}
		return n
	})
	return m
}

var (
	channelStats = []string{
		"publish", "confirm", "return_unroutable", "drop_unroutable", "deliver", "deliver_no_ack", "redeliver", "get", "get_no_ack", "get_empty", "ack",
	}
	queueStats = []string{"publish", "deliver", "deliver_no_ack", "redeliver", "get", "get_no_ack", "get_empty", "ack"}
)

// lengths puts the three lengths of a queue, or of many, and their rates into m.
func lengths(m map[string]any, ready, unacked int, readyRate, unackRate float64, history []node.Sample, s span) {
	m["messages"], m["messages_ready"], m["messages_unacknowledged"] = ready+unacked, ready, unacked
	m["messages_details"] = details(readyRate+unackRate, history, s, func(x *node.Sample) uint64 { return uint64(x.Ready + x.Unacked) })
	m["messages_ready_details"] = details(readyRate, history, s, func(x *node.Sample) uint64 { return uint64(x.Ready) })
	m["messages_unacknowledged_details"] = details(unackRate, history, s, func(x *node.Sample) uint64 { return uint64(x.Unacked) })
}

// rated is a number without a history.
func rated(m map[string]any, key string, n uint64, rate float64) {
	m[key], m[key+"_details"] = n, map[string]any{"rate": round(rate)}
}
