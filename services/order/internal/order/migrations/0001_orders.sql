-- +goose Up
-- Times are milliseconds since 1970, amounts minor units.
CREATE TABLE orders (
	id           TEXT   NOT NULL PRIMARY KEY,
	customer_id  TEXT   NOT NULL,
	state        TEXT   NOT NULL,
	status       TEXT   NOT NULL, -- what the state looks like from outside
	currency     TEXT   NOT NULL,
	total        BIGINT NOT NULL,
	items        TEXT   NOT NULL, -- JSON
	reason       TEXT   NOT NULL,
	cancel_ms    BIGINT NOT NULL, -- when cancellation was asked for, 0 if it was not
	trace_id     TEXT   NOT NULL,
	entries      BIGINT NOT NULL, -- length of the timeline
	placed_ms    BIGINT NOT NULL,
	updated_ms   BIGINT NOT NULL
);
CREATE INDEX orders_status ON orders (status, id);

-- What happened to an order. Only ever added to.
CREATE TABLE timeline (
	order_id TEXT   NOT NULL,
	seq      BIGINT NOT NULL,
	at_ms    BIGINT NOT NULL,
	event    TEXT   NOT NULL,
	status   TEXT   NOT NULL,
	detail   TEXT   NOT NULL,
	PRIMARY KEY (order_id, seq)
);

-- What product told of its catalogue.
CREATE TABLE catalogue (
	sku      TEXT   NOT NULL PRIMARY KEY,
	name     TEXT   NOT NULL,
	price    BIGINT NOT NULL,
	currency TEXT   NOT NULL,
	revision BIGINT NOT NULL
);

CREATE TABLE idempotency (
	idempotency_key TEXT   NOT NULL PRIMARY KEY,
	request_hash    TEXT   NOT NULL,
	answer          TEXT   NOT NULL, -- JSON
	created_ms      BIGINT NOT NULL
);
CREATE INDEX idempotency_age ON idempotency (created_ms);

-- +goose Down
DROP TABLE idempotency;
DROP TABLE catalogue;
DROP TABLE timeline;
DROP TABLE orders;
