-- +goose Up
ALTER TABLE payments ADD COLUMN asked       BIGINT NOT NULL DEFAULT 0;  -- how often the gateway was asked in this state, in vain
ALTER TABLE payments ADD COLUMN due_ms      BIGINT NOT NULL DEFAULT 0;  -- when it is asked next; 0 when it is not to be asked
ALTER TABLE payments ADD COLUMN give_up_ms  BIGINT NOT NULL DEFAULT 0;  -- when an authorization is given up
ALTER TABLE payments ADD COLUMN traceparent TEXT   NOT NULL DEFAULT ''; -- of the message that the gateway is asked because of
CREATE INDEX payments_due ON payments (due_ms) WHERE due_ms > 0;

-- +goose Down
DROP INDEX payments_due;
ALTER TABLE payments DROP COLUMN traceparent;
ALTER TABLE payments DROP COLUMN give_up_ms;
ALTER TABLE payments DROP COLUMN due_ms;
ALTER TABLE payments DROP COLUMN asked;
