package sqldb_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/warren-mq/warren/libs/sqldb"
)

func openFile(t testing.TB) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), filepath.Join(t.TempDir(), "t.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// A statement that is kept must not be shared with itself: the inner query runs while the outer one has rows left.
func TestAStatementInsideItself(t *testing.T) {
	db := openFile(t)
	err := db.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1), (2), (3)"); err != nil {
			return err
		}
		var seen []string
		numbers := func(least int, f func(n int) error) error {
			rows, err := tx.QueryContext(ctx, "SELECT n FROM t WHERE n >= ? ORDER BY n", least)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var n int
				if err := rows.Scan(&n); err != nil {
					return err
				}
				if err := f(n); err != nil {
					return err
				}
			}
			return rows.Err()
		}
		for range 2 { // the second time with kept statements
			err := numbers(2, func(outer int) error {
				return numbers(outer, func(inner int) error {
					seen = append(seen, fmt.Sprint(outer, inner))
					return nil
				})
			})
			if err != nil {
				return err
			}
		}
		if got, want := fmt.Sprint(seen), "[2 2 2 3 3 3 2 2 2 3 3 3]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is kept sees changes of the schema and the arguments of its own execution only, and survives failures.
func TestKeptStatements(t *testing.T) {
	db := openFile(t)
	if _, err := db.Writer.Exec("CREATE TABLE t (n INTEGER PRIMARY KEY, name TEXT)"); err != nil {
		t.Fatal(err)
	}
	insert := func(n int, name any) error {
		_, err := db.Writer.Exec("INSERT INTO t (n, name) VALUES (?, ?)", n, name)
		return err
	}
	all := func(least int) (out string) {
		rows, err := db.Writer.Query("SELECT * FROM t WHERE n >= ?", least)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(sql.NullString)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for i, v := range values {
				out += fmt.Sprint(columns[i], "=", v.(*sql.NullString).String, " ")
			}
		}
		return out
	}
	for i, name := range []any{"one", nil} {
		if err := insert(i+1, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := insert(2, "twice"); err == nil {
		t.Error("a key is there twice")
	}
	if err := insert(3, "three"); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	if got, want := all(2), "n=2 name= n=3 name=three "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := db.Writer.Exec("ALTER TABLE t ADD COLUMN more TEXT NOT NULL DEFAULT 'x'"); err != nil {
		t.Fatal(err)
	}
	if got, want := all(3), "n=3 name=three more=x "; got != want {
		t.Errorf("after a change of the schema %q, want %q", got, want)
	}
}

// More statements than a connection keeps.
func TestManyStatements(t *testing.T) {
	db := openFile(t)
	for range 2 {
		for i := range 300 {
			var n int
			if err := db.Writer.QueryRow(fmt.Sprintf("SELECT %d + ?", i), 1).Scan(&n); err != nil || n != i+1 {
				t.Fatalf("%d + 1 = %d, %v", i, n, err)
			}
		}
	}
}

func BenchmarkQueryRow(b *testing.B) {
	db := openFile(b)
	if _, err := db.Writer.Exec("CREATE TABLE t (n INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (7, 'seven')"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var name string
		if err := db.Reader.QueryRowContext(b.Context(), "SELECT name FROM t WHERE n = ?", 7).Scan(&name); err != nil {
			b.Fatal(err)
		}
	}
}
