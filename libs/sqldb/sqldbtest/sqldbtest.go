// Package sqldbtest gives tests a fresh database of each kind, so that one test body proves both.
package sqldbtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/warren-mq/warren/libs/sqldb"
)

// PostgresEnv names a PostgreSQL server for tests, as a postgres:// URL of a user who may create schemas.
const PostgresEnv = "WARREN_TEST_POSTGRES_URL"

// Each runs f on SQLite, and on PostgreSQL when PostgresEnv is set; f may call open again to get a second handle on the same
// data, as after a crash.
func Each(t *testing.T, f func(t *testing.T, open func() *sqldb.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "test.db")
		f(t, func() *sqldb.DB { return open(t, path) })
	})
	t.Run("postgres", func(t *testing.T) {
		base := os.Getenv(PostgresEnv)
		if base == "" {
			t.Skip(PostgresEnv + " is not set")
		}
		schema := "t" + strings.ReplaceAll(uuid.NewString(), "-", "")
		admin := open(t, base)
		if _, err := admin.Writer.Exec("CREATE SCHEMA " + schema); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := admin.Writer.Exec("DROP SCHEMA " + schema + " CASCADE"); err != nil {
				t.Error(err)
			}
		})
		sep := "?"
		if strings.Contains(base, "?") {
			sep = "&"
		}
		f(t, func() *sqldb.DB { return open(t, fmt.Sprintf("%s%ssearch_path=%s", base, sep, schema)) })
	})
}

func open(t *testing.T, address string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // a test may have closed it before
	return db
}
