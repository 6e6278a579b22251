-- +goose Up
ALTER TABLE orders ADD COLUMN due_ms      BIGINT NOT NULL DEFAULT 0;  -- when it expires; 0 when it does not
ALTER TABLE orders ADD COLUMN traceparent TEXT   NOT NULL DEFAULT ''; -- of the request that placed it
CREATE INDEX orders_due ON orders (due_ms) WHERE due_ms > 0;

-- +goose Down
DROP INDEX orders_due;
ALTER TABLE orders DROP COLUMN traceparent;
ALTER TABLE orders DROP COLUMN due_ms;
