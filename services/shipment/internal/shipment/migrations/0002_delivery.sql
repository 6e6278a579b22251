-- +goose Up
ALTER TABLE shipments ADD COLUMN undeliverable BIGINT NOT NULL DEFAULT 0; -- 1 when the carrier will bring it back
DROP INDEX shipments_due;
CREATE INDEX shipments_due ON shipments (due_ms) WHERE due_ms > 0;

-- +goose Down
DROP INDEX shipments_due;
CREATE INDEX shipments_due ON shipments (due_ms) WHERE state = 'packing';
ALTER TABLE shipments DROP COLUMN undeliverable;
