-- +goose Up
-- Times are milliseconds since 1970, amounts minor units.
CREATE TABLE products (
	sku      TEXT   NOT NULL PRIMARY KEY,
	name     TEXT   NOT NULL,
	price    BIGINT NOT NULL,
	currency TEXT   NOT NULL,
	revision BIGINT NOT NULL,
	stock    BIGINT NOT NULL CHECK (stock >= 0),
	reserved BIGINT NOT NULL CHECK (reserved >= 0),
	CHECK (reserved <= stock)
);

CREATE TABLE reservations (
	order_id   TEXT   NOT NULL PRIMARY KEY,
	state      TEXT   NOT NULL,
	reason     TEXT   NOT NULL,
	updated_ms BIGINT NOT NULL
);

CREATE TABLE reservation_items (
	order_id TEXT   NOT NULL,
	sku      TEXT   NOT NULL,
	quantity BIGINT NOT NULL,
	PRIMARY KEY (order_id, sku)
);

-- The ledger is only ever added to. What is in products is the seed plus its sums.
CREATE TABLE movements (
	id             TEXT   NOT NULL PRIMARY KEY,
	order_id       TEXT   NOT NULL,
	sku            TEXT   NOT NULL,
	kind           TEXT   NOT NULL,
	stock_delta    BIGINT NOT NULL,
	reserved_delta BIGINT NOT NULL,
	at_ms          BIGINT NOT NULL
);
CREATE INDEX movements_order ON movements (order_id);

-- +goose Down
DROP TABLE movements;
DROP TABLE reservation_items;
DROP TABLE reservations;
DROP TABLE products;
