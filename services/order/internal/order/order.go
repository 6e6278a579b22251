// Package order takes orders, follows what the other services make of them, and stops them when the customer wants.
package order

import (
	"errors"
	"time"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Item is a line of an order.
type Item struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

// Order is what a customer wants and what became of it.
type Order struct {
	ID         string
	CustomerID string
	State      saga.State
	Currency   string
	Total      int64
	Items      []Item
	Reason     string    // why it ended without a delivery
	CancelAt   time.Time // when cancellation was asked for; zero if it was not
	TraceID    string    // of the request that placed it
	PlacedAt   time.Time
	UpdatedAt  time.Time

	entries     int64     // length of the timeline
	dueAt       time.Time // when it expires; zero when it does not
	traceparent string    // of the request that placed it
}

// Status is what the state looks like from outside.
func (o Order) Status() Status { return statuses[o.State] }

// Entry is a line of an order's timeline.
type Entry struct {
	Seq    int64
	At     time.Time
	Event  string // type of the event that came, or of the one that was caused by a request
	Status Status // afterwards
	Detail string
}

// Errors that a caller can do something about.
var (
	ErrNotFound = errors.New("order: not found")
	// ErrKeyReused says that the idempotency key came before with another request.
	ErrKeyReused = errors.New("order: idempotency key used for another request")
	// ErrTooLate says that the parcel has left, or that the order has ended otherwise.
	ErrTooLate = errors.New("order: too late to cancel")
)

// Service is what order can do.
type Service struct {
	chassis.Core
	expiry  time.Duration
	changes *pulse
	doubles doubles
}

// New returns the service. expiry is how long money and goods may take before an order is stopped.
func New(core chassis.Core, expiry time.Duration) *Service {
	s := &Service{Core: core, expiry: expiry, changes: newPulse()}
	s.DB.OnCommit(s.changes.beat)
	return s
}
