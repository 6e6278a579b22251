// Package outbox makes a database change and its messages one thing.
//
// An event is written to the outbox in the transaction of the change it tells of, together with the trace. A [Relay] publishes
// it afterwards, in order per aggregate, and marks it sent when the broker has confirmed. A crash in between publishes again:
// duplicates are possible, loss is not. On the other side [Process] applies a message in one transaction with the note that it
// was applied, so that a duplicate does nothing.
package outbox

import (
	"context"
	"fmt"

	"github.com/warren-mq/warren/libs/sqldb"
)

// The tables. Times are milliseconds since 1970; aggregate_key "" means that order does not matter.
const (
	sqliteDDL = `
CREATE TABLE IF NOT EXISTS outbox (
	seq            INTEGER PRIMARY KEY AUTOINCREMENT,
	message_id     TEXT    NOT NULL UNIQUE,
	destination    TEXT    NOT NULL,
	aggregate_key  TEXT    NOT NULL,
	type           TEXT    NOT NULL,
	content_type   TEXT    NOT NULL,
	correlation_id TEXT    NOT NULL,
	routing_key    TEXT    NOT NULL,
	headers        TEXT    NOT NULL,
	payload        BLOB    NOT NULL,
	created_ms     INTEGER NOT NULL,
	retry_ms       INTEGER NOT NULL DEFAULT 0,
	attempts       INTEGER NOT NULL DEFAULT 0,
	last_error     TEXT    NOT NULL DEFAULT '',
	sent_ms        INTEGER
);` + commonDDL + `
CREATE TABLE IF NOT EXISTS inbox (
	consumer     TEXT    NOT NULL,
	message_id   TEXT    NOT NULL,
	processed_ms INTEGER NOT NULL,
	PRIMARY KEY (consumer, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS inbox_age ON inbox (processed_ms);`

	postgresDDL = `
CREATE TABLE IF NOT EXISTS outbox (
	seq            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message_id     TEXT    NOT NULL UNIQUE,
	destination    TEXT    NOT NULL,
	aggregate_key  TEXT    NOT NULL,
	type           TEXT    NOT NULL,
	content_type   TEXT    NOT NULL,
	correlation_id TEXT    NOT NULL,
	routing_key    TEXT    NOT NULL,
	headers        TEXT    NOT NULL,
	payload        BYTEA   NOT NULL,
	created_ms     BIGINT  NOT NULL,
	retry_ms       BIGINT  NOT NULL DEFAULT 0,
	attempts       INTEGER NOT NULL DEFAULT 0,
	last_error     TEXT    NOT NULL DEFAULT '',
	sent_ms        BIGINT
);` + commonDDL + `
CREATE TABLE IF NOT EXISTS inbox (
	consumer     TEXT   NOT NULL,
	message_id   TEXT   NOT NULL,
	processed_ms BIGINT NOT NULL,
	PRIMARY KEY (consumer, message_id)
);
CREATE INDEX IF NOT EXISTS inbox_age ON inbox (processed_ms);`

	commonDDL = `
CREATE INDEX IF NOT EXISTS outbox_unsent ON outbox (seq) WHERE sent_ms IS NULL;
CREATE INDEX IF NOT EXISTS outbox_unsent_key ON outbox (aggregate_key, seq) WHERE sent_ms IS NULL;
CREATE INDEX IF NOT EXISTS outbox_sent ON outbox (sent_ms) WHERE sent_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS outbox_lease (
	name     TEXT   NOT NULL PRIMARY KEY,
	holder   TEXT   NOT NULL,
	until_ms BIGINT NOT NULL
);`
)

// DDL returns the statements that make the tables, for a service's own migrations. They may run twice.
func DDL(d sqldb.Dialect) string {
	if d == sqldb.Postgres {
		return postgresDDL
	}
	return sqliteDDL
}

// Migrate makes the tables if they are missing.
func Migrate(ctx context.Context, db *sqldb.DB) error {
	if _, err := db.Writer.ExecContext(ctx, DDL(db.Dialect)); err != nil {
		return fmt.Errorf("outbox: migrate: %w", err)
	}
	return nil
}
