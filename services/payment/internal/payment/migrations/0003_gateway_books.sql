-- +goose Up
-- The books of the payment gateway, which is somebody else and only lives here because it is a simulation. Payment's own logic
-- never reads them.
CREATE TABLE gateway_accounts (
	payment_id TEXT   NOT NULL PRIMARY KEY,
	order_id   TEXT   NOT NULL,
	state      TEXT   NOT NULL,
	amount     BIGINT NOT NULL,
	currency   TEXT   NOT NULL
);

-- What moved between the customers' accounts and ours. Only ever added to.
CREATE TABLE gateway_moves (
	payment_id TEXT   NOT NULL,
	state      TEXT   NOT NULL, -- that the account went into
	amount     BIGINT NOT NULL,
	PRIMARY KEY (payment_id, state)
);

-- +goose Down
DROP TABLE gateway_moves;
DROP TABLE gateway_accounts;
