-- +goose Up
-- Times are milliseconds since 1970, amounts minor units.
CREATE TABLE payments (
	order_id    TEXT   NOT NULL PRIMARY KEY,
	id          TEXT   NOT NULL,
	state       TEXT   NOT NULL,
	customer_id TEXT   NOT NULL,
	amount      BIGINT NOT NULL,
	currency    TEXT   NOT NULL,
	reason      TEXT   NOT NULL,
	updated_ms  BIGINT NOT NULL
);

-- The ledger is only ever added to. Its sum per currency is the money that is ours.
CREATE TABLE entries (
	id         TEXT   NOT NULL PRIMARY KEY,
	payment_id TEXT   NOT NULL,
	order_id   TEXT   NOT NULL,
	kind       TEXT   NOT NULL,
	amount     BIGINT NOT NULL,
	currency   TEXT   NOT NULL,
	at_ms      BIGINT NOT NULL
);
CREATE INDEX entries_order ON entries (order_id);

-- +goose Down
DROP TABLE entries;
DROP TABLE payments;
