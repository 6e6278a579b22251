-- +goose Up
-- Times are milliseconds since 1970.
CREATE TABLE shipments (
	order_id    TEXT   NOT NULL PRIMARY KEY,
	id          TEXT   NOT NULL,
	state       TEXT   NOT NULL,
	reason      TEXT   NOT NULL,
	due_ms      BIGINT NOT NULL, -- when the parcel is packed and may leave; 0 while it is not being packed
	traceparent TEXT   NOT NULL, -- of the message that began the packing, so that the dispatch is in the order's trace
	updated_ms  BIGINT NOT NULL
);
CREATE INDEX shipments_due ON shipments (due_ms) WHERE state = 'packing';

-- The log of what left the house is only ever added to.
CREATE TABLE dispatches (
	id       TEXT   NOT NULL PRIMARY KEY,
	order_id TEXT   NOT NULL,
	at_ms    BIGINT NOT NULL
);
CREATE INDEX dispatches_order ON dispatches (order_id);

-- +goose Down
DROP TABLE dispatches;
DROP TABLE shipments;
