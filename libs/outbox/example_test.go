package outbox_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/warren-mq/warren/libs/outbox"
	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/libs/stream"
)

// printer stands for whatever takes messages: a stream.App, or a client of another system. No binder is needed.
type printer struct{ done chan struct{} }

func (p printer) PublishRaw(_ context.Context, destination string, ms []stream.Raw) []error {
	for _, m := range ms {
		fmt.Println("to", destination, m.Type, string(m.Payload))
		close(p.done)
	}
	return make([]error, len(ms))
}

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqldb.Open(ctx, filepath.Join(dir, "orders.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	if err := outbox.Migrate(ctx, db); err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan struct{})
	var out outbox.Publisher = printer{done}
	var relay *outbox.Relay = outbox.NewRelay(db, out, outbox.RelayConfig{})
	ran := make(chan error)
	go func() { ran <- relay.Run(ctx) }()

	// The change and its message are one transaction.
	err = db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		placed, err := outbox.JSON("order.placed", "o-1", "OrderPlaced", map[string]string{"order_id": "o-1"})
		if err != nil {
			return err
		}
		return outbox.New(db).Add(ctx, tx, placed)
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	<-done
	cancel()
	if err := <-ran; err != nil {
		fmt.Println(err)
	}
	// Output: to order.placed OrderPlaced {"order_id":"o-1"}
}

func ExampleProcess() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "inbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqldb.Open(ctx, filepath.Join(dir, "payment.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	if err := outbox.Migrate(ctx, db); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // the broker delivers a message twice
		applied, err := outbox.Process(ctx, db, "payment", "message-1", func(context.Context, *sql.Tx) error {
			fmt.Println("paying")
			return nil
		})
		fmt.Println(applied, err)
	}
	// Output:
	// paying
	// true <nil>
	// false <nil>
}

func ExampleOutbox() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "outbox")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sqldb.Open(ctx, filepath.Join(dir, "orders.db"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	// Migrate does this; with migrations of one's own the statements can be among them.
	if _, err := db.Writer.ExecContext(ctx, outbox.DDL(db.Dialect)); err != nil {
		fmt.Println(err)
		return
	}
	box := outbox.New(db)
	for _, failure := range []error{nil, errors.New("the card is stolen")} {
		err := db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			record := outbox.Record{Destination: "payment.authorized", Key: "o-1", Type: "PaymentAuthorized", Payload: []byte(`{"order_id":"o-1"}`)}
			return errors.Join(box.Add(ctx, tx, record), failure) // what is rolled back is never published
		})
		fmt.Println(err)
	}
	n, since, err := box.Backlog(ctx)
	fmt.Println(n, since.IsZero(), err)
	// Output:
	// <nil>
	// the card is stolen
	// 1 false <nil>
}
