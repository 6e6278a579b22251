package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/warren-mq/warren/libs/sqldb"
)

func ExampleQuery() {
	dir, err := os.MkdirTemp("", "sqldb")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	traced := []sqldb.Option{sqldb.Traced()} // each statement is a span of the trace that it belongs to
	db, err := sqldb.Open(ctx, filepath.Join(dir, "stock.db"), traced...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	if _, err := db.Writer.ExecContext(ctx, "CREATE TABLE stock (sku TEXT, n INTEGER); INSERT INTO stock VALUES ('a', 0), ('b', 2), ('c', 3)"); err != nil {
		fmt.Println(err)
		return
	}
	var on sqldb.Querier = db.Reader // or a transaction
	skus, err := sqldb.Query(ctx, db, on, func(r sqldb.Row) (sku string, err error) {
		err = r.Scan(&sku)
		return sku, err
	}, "SELECT sku FROM stock WHERE n > ? ORDER BY sku", 0)
	fmt.Println(skus, err)
	// Output: [b c] <nil>
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "sqldb")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	var db *sqldb.DB
	if db, err = sqldb.Open(ctx, filepath.Join(dir, "orders.db")); err != nil { // or postgres://…
		fmt.Println(err)
		return
	}
	defer db.Close()
	blob := map[sqldb.Dialect]string{sqldb.SQLite: "BLOB", sqldb.Postgres: "BYTEA"}
	if _, err := db.Writer.ExecContext(ctx, "CREATE TABLE orders (id TEXT PRIMARY KEY, body "+blob[db.Dialect]+")"); err != nil {
		fmt.Println(err)
		return
	}
	db.OnCommit(func() { fmt.Println("committed") }) // as a relay is woken
	for _, broken := range []error{nil, errors.New("no")} {
		err = db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, db.Rebind("INSERT INTO orders (id) VALUES (?)"), fmt.Sprint(broken))
			return errors.Join(err, broken)
		})
		fmt.Println(err)
	}
	n := 0
	fmt.Println(db.Reader.QueryRowContext(ctx, "SELECT count(*) FROM orders").Scan(&n), n)
	// Output:
	// committed
	// <nil>
	// no
	// <nil> 1
}
