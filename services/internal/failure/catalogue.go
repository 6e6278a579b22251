// Package failure holds the switches of the failures that the sample system can show. Each is off until somebody turns it on over
// the admin API, is on for a bounded time, and happens where it would happen in real life. Nothing of this is reachable unless
// the process was started with FAILURES=true.
package failure

import (
	"slices"

	"github.com/warren-mq/warren/services/events"
)

// Kind names a failure; its lab is services/docs/labs/<kind>.md.
type Kind string

// The failures.
const (
	LostTrace      Kind = "01-lost-trace-context"
	Duplicates     Kind = "02-duplicate-delivery"
	Poison         Kind = "03-poison-message"
	GatewayDown    Kind = "04-payment-down"
	StockConflict  Kind = "05-stock-conflict"
	LeaderKilled   Kind = "06-leader-killed"
	Partition      Kind = "07-partition"
	RollingRestart Kind = "08-rolling-restart"
	SlowConsumer   Kind = "09-slow-consumer"
	ConsumerDies   Kind = "10-consumer-dies"
	RelayDies      Kind = "11-relay-dies"
	IdleCut        Kind = "12-idle-connections-cut"
	SchemaChange   Kind = "13-schema-change"
	Alarm          Kind = "14-memory-alarm"
	ClockSkew      Kind = "15-clock-skew"
	Reconnects     Kind = "16-thundering-reconnect"
)

// Conductor is who carries out what happens to the brokers: the demo, which started them.
const Conductor = "conductor"

// Spec describes a failure.
type Spec struct {
	Kind  Kind   `json:"kind"`
	Title string `json:"title"`
	Shows string `json:"shows" doc:"What there is to see while it is on"`
	// At are the processes where it can be switched on, the usual one first.
	At []string `json:"at"`
	// Unit of the value, "" when there is nothing to choose.
	Unit    string `json:"unit,omitempty"`
	Default int64  `json:"default,omitempty"`
	Max     int64  `json:"max,omitempty"`
}

var everyService = []string{events.GroupOrder, events.GroupPayment, events.GroupProduct, events.GroupShipment}

// from returns every service, one of them first.
func from(first string) []string {
	out := []string{first}
	for _, s := range everyService {
		if s != first {
			out = append(out, s)
		}
	}
	return out
}

// Catalogue is all failures, in their order.
func Catalogue() []Spec {
	return slices.Clone([]Spec{
		{Kind: LostTrace, Title: "Lost trace context", At: from(events.GroupOrder), Shows: "messages leave without trace headers: the order's trace ends at the queue"},
		{Kind: Duplicates, Title: "Duplicate delivery", At: from(events.GroupOrder), Shows: "every message is published twice; inboxes let one of them through"},
		{Kind: Poison, Title: "Poison message", At: []string{events.GroupProduct}, Shows: "product cannot handle rulers (SKU-007): retries, then the dead-letter queue, then replay"},
		{Kind: GatewayDown, Title: "Payment gateway down", At: []string{events.GroupPayment}, Shows: "payment asks again and again, gives up, and the goods go back"},
		{Kind: StockConflict, Title: "Stock conflict", At: []string{events.GroupProduct}, Shows: "somebody else gets the last pieces: money that is held goes back"},
		{Kind: LeaderKilled, Title: "Leader killed between publish and confirm", At: []string{Conductor}, Shows: "the next member leads; what was not confirmed is published again"},
		{Kind: Partition, Title: "Partition", At: []string{Conductor}, Unit: "nodes cut off", Default: 1, Max: 2, Shows: "one node off: all goes on; two off: everything waits, and nothing is lost"},
		{Kind: RollingRestart, Title: "Rolling restart", At: []string{Conductor}, Shows: "one node after the other leaves and comes back; clients move"},
		{Kind: SlowConsumer, Title: "Slow consumer", At: from(events.GroupProduct), Unit: "ms a message", Default: 300, Max: 10_000, Shows: "a queue grows, the others wait for it; nothing breaks"},
		{Kind: ConsumerDies, Title: "Consumer dies between commit and ack", At: from(events.GroupProduct), Shows: "the message comes again; the inbox has it already"},
		{Kind: RelayDies, Title: "Relay dies between publish and mark", At: from(events.GroupOrder), Shows: "the message is published again; inboxes let one of them through"},
		{Kind: IdleCut, Title: "Proxy cuts idle connections", At: from(events.GroupShipment), Unit: "ms idle", Default: 1000, Max: 60_000, Shows: "connections end for no visible reason and come back by themselves"},
		{Kind: SchemaChange, Title: "Schema change breaks a consumer", At: from(events.GroupOrder), Shows: "order_id is called orderId: readers dead-letter what they cannot use"},
		{Kind: Alarm, Title: "Memory alarm", At: []string{Conductor}, Shows: "a node is short of memory: nobody may publish, outboxes fill, consumers go on"},
		{Kind: ClockSkew, Title: "Clock skew", At: from(events.GroupProduct), Unit: "s ahead", Default: 3600, Max: 86_400, Shows: "holds on goods run out at once; shipment decides what that means"},
		{Kind: Reconnects, Title: "Thundering reconnect", At: from(events.GroupOrder), Unit: "ms between cuts", Default: 1000, Max: 60_000, Shows: "all connections of a service break at once, again and again; back-off and jitter spread the return"},
	})
}

// find returns a failure that can happen at a process.
func find(k Kind, at string) (Spec, bool) {
	for _, s := range Catalogue() {
		if s.Kind == k && slices.Contains(s.At, at) {
			return s, true
		}
	}
	return Spec{}, false
}
