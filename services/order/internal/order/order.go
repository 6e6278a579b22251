// Package order takes orders, follows what the other services make of them, and stops them when the customer wants.
package order

import (
	"errors"
	"log/slog"
	"time"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/events"
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
	State      State
	Currency   string
	Total      int64
	Items      []Item
	Reason     string    // why it was rejected or cancelled
	CancelAt   time.Time // when cancellation was asked for; zero if it was not
	TraceID    string    // of the request that placed it
	PlacedAt   time.Time
	UpdatedAt  time.Time

	entries int64 // length of the timeline
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
	// ErrTooLate says that the order is shipped or rejected.
	ErrTooLate = errors.New("order: too late to cancel")
)

// Service is what order can do.
type Service struct {
	db      *sqldb.DB
	outbox  *outbox.Outbox
	log     *slog.Logger
	changes *pulse
}

// New returns the service on its database.
func New(db *sqldb.DB, log *slog.Logger) *Service {
	s := &Service{db: db, outbox: outbox.New(db), log: log, changes: newPulse()}
	db.OnCommit(s.changes.beat)
	return s
}

// Publishes are the destinations of the service's events.
func Publishes() []string {
	return []string{
		events.OrderPlaced{}.Destination(), events.OrderCancellationRequested{}.Destination(), events.OrderCancelled{}.Destination(),
	}
}
