package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// Limits of asking the gateway.
const (
	asksMax     = 16 // at the same time
	askTimeout  = 5 * time.Second
	askPause    = 200 * time.Millisecond // after the first request in vain; doubles
	askPauseMax = 10 * time.Second
)

// Request asks the gateway for something. The same request may come again: its key and what is asked for make it the same.
type Request struct {
	PaymentID  string // the key
	OrderID    string
	CustomerID string
	Ask        saga.Message // AskAuthorize, AskCapture or AskReverse
	Amount     int64
	Currency   string
}

// Answer is what the gateway calls back with: late, or twice, or both.
type Answer struct {
	PaymentID string
	OrderID   string
	Result    saga.Message
	Reason    string
}

// Gateway takes requests. An error means that nobody knows whether the request was heard. The answer comes to Service.Answered,
// before Submit returns or any time later.
type Gateway interface {
	Submit(ctx context.Context, r Request, answered func(context.Context, Answer) error) error
}

// request is what the gateway is asked for in a state.
func request(s saga.State) (saga.Message, bool) {
	for _, m := range saga.Payment.Info(s).Awaits {
		if m.Origin() == "payment" {
			return m, true
		}
	}
	return "", false
}

// Asking asks the gateway until ctx ends.
func (s *Service) Asking(ctx context.Context) error { return s.Clock(ctx, s.AskDue) }

// AskDue asks for everything that is due, several at a time, and gives up authorizations that have taken too long.
func (s *Service) AskDue(ctx context.Context, now time.Time) (next time.Time, err error) {
	due, err := s.due(ctx, now, chassis.DueBatch)
	if err != nil {
		return time.Time{}, err
	}
	var mu sync.Mutex
	var errs []error
	var asking sync.WaitGroup
	slots := make(chan struct{}, asksMax)
	for _, p := range due {
		slots <- struct{}{}
		asking.Go(func() {
			defer func() { <-slots }()
			if err := s.ask(ctx, p, now); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	asking.Wait()
	if len(errs) > 0 {
		return time.Time{}, errors.Join(errs...)
	}
	return s.NextDue(ctx, "payments")
}

// ask sends one request. What becomes of it the answer says; until then it is due again after a pause.
func (s *Service) ask(ctx context.Context, p Payment, now time.Time) error {
	what, _ := request(p.State)
	ctx, span := chassis.Resume(ctx, "payment", p.traceparent, "ask gateway: "+string(p.State))
	defer span.End()
	if p.State == saga.PaymentAuthorizing && !now.Before(p.giveUpAt) {
		return s.DB.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			return s.apply(ctx, tx, p.OrderID, saga.GiveUp, because("the payment gateway did not answer in time"))
		})
	}
	asked, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r := Request{PaymentID: p.ID, OrderID: p.OrderID, CustomerID: p.CustomerID, Ask: what, Amount: p.Amount, Currency: p.Currency}
	err := s.gateway.Submit(asked, r, s.Answered)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		s.Log.WarnContext(ctx, "gateway", "order_id", p.OrderID, "asked", what, "attempt", p.asked+1, "error", err)
	}
	if ctx.Err() != nil {
		return nil // the service stops; the request is still due
	}
	again := now.Add(min(askPause<<min(p.asked, 20), askPauseMax))
	if p.State == saga.PaymentAuthorizing && again.After(p.giveUpAt) {
		again = p.giveUpAt
	}
	return s.inVain(ctx, p, again)
}

// Answered is called by the gateway. An answer that comes twice is applied once.
func (s *Service) Answered(ctx context.Context, a Answer) error {
	if a.Result.Origin() != saga.Gateway.Name {
		return fmt.Errorf("payment: the gateway has no answer %q", a.Result)
	}
	return s.Once(ctx, "gateway", a.PaymentID+" "+string(a.Result), func(ctx context.Context, tx *sql.Tx) error {
		return s.apply(ctx, tx, a.OrderID, a.Result, func(p *Payment) {
			if a.Reason != "" {
				p.Reason = a.Reason
			}
		})
	})
}
