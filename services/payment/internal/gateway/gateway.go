// Package gateway stands for a payment gateway: somebody else's service that holds, takes and gives back money, keeps its own
// books, knows a request that comes again, and calls back when it has decided.
package gateway

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/warren-mq/warren/libs/sqldb"
	"github.com/warren-mq/warren/services/internal/failure"
	"github.com/warren-mq/warren/services/internal/saga"
	"github.com/warren-mq/warren/services/payment/internal/payment"
)

// declinedPrefix begins the ids of customers whose bank always says no, for demonstrations and tests.
const declinedPrefix = "decline-"

// Gateway implements payment.Gateway. Its books survive it.
type Gateway struct {
	db       *sqldb.DB
	failures *failure.Set
}

var _ payment.Gateway = (*Gateway)(nil)

// New returns the gateway. Its books are in a database that holds payment's migrations.
func New(db *sqldb.DB, failures *failure.Set) *Gateway { return &Gateway{db: db, failures: failures} }

// Submit implements payment.Gateway: it enters the request in the books and calls back at once.
func (g *Gateway) Submit(ctx context.Context, r payment.Request, answered func(context.Context, payment.Answer) error) error {
	if g.failures.Hit(failure.GatewayDown) {
		return errors.New("gateway: connection refused")
	}
	a := payment.Answer{PaymentID: r.PaymentID, OrderID: r.OrderID}
	if r.Ask == saga.AskAuthorize && strings.HasPrefix(r.CustomerID, declinedPrefix) {
		r.Ask, a.Reason = saga.AskAuthorizeRefused, "the bank declined the payment"
	}
	err := g.db.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		row, err := g.enter(ctx, tx, r)
		a.Result = row.Emit
		return err
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	if g.failures.Hit(failure.Duplicates) {
		if err := answered(ctx, a); err != nil {
			return err
		}
	}
	return answered(ctx, a)
}

// enter makes the transition that a request causes.
func (g *Gateway) enter(ctx context.Context, tx *sql.Tx, r payment.Request) (saga.Row, error) {
	_, err := tx.ExecContext(ctx, g.db.Rebind(
		`INSERT INTO gateway_accounts (payment_id, order_id, state, amount, currency) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`),
		r.PaymentID, r.OrderID, saga.Gateway.Initial, r.Amount, r.Currency)
	if err != nil {
		return saga.Row{}, err
	}
	var state saga.State
	if err := tx.QueryRowContext(ctx, g.db.Rebind(`SELECT state FROM gateway_accounts WHERE payment_id = ?`), r.PaymentID).Scan(&state); err != nil {
		return saga.Row{}, err
	}
	row, ok := saga.Gateway.Decide(state, r.Ask)
	if !ok {
		return saga.Row{}, fmt.Errorf("%s: the money is %s", r.Ask, state)
	}
	if row.From == row.To {
		return row, nil
	}
	if _, err := tx.ExecContext(ctx, g.db.Rebind(`UPDATE gateway_accounts SET state = ? WHERE payment_id = ?`), row.To, r.PaymentID); err != nil {
		return saga.Row{}, err
	}
	moved := map[saga.State]int64{saga.GatewayTaken: r.Amount, saga.GatewayBack: -r.Amount}[row.To]
	if moved == 0 {
		return row, nil
	}
	_, err = tx.ExecContext(ctx, g.db.Rebind(`INSERT INTO gateway_moves (payment_id, state, amount) VALUES (?, ?, ?)`), r.PaymentID, row.To, moved)
	return row, err
}
