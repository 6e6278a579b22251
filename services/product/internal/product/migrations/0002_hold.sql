-- +goose Up
ALTER TABLE reservations ADD COLUMN due_ms      BIGINT NOT NULL DEFAULT 0;  -- when the hold has run out; 0 when there is none
ALTER TABLE reservations ADD COLUMN traceparent TEXT   NOT NULL DEFAULT ''; -- of the message that began it
CREATE INDEX reservations_due ON reservations (due_ms) WHERE due_ms > 0;

-- +goose Down
DROP INDEX reservations_due;
ALTER TABLE reservations DROP COLUMN traceparent;
ALTER TABLE reservations DROP COLUMN due_ms;
