-- +goose Up
CREATE INDEX timeline_at ON timeline (at_ms);

-- +goose Down
DROP INDEX timeline_at;
