-- +goose Up
-- How many entries product's catalogue had when it told of this one.
ALTER TABLE catalogue ADD COLUMN entries BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE catalogue DROP COLUMN entries;
