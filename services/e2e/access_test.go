package e2e

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/services/demo/system"
	"github.com/warren-mq/warren/services/internal/access"
)

// TestLeastPrivilege: a service's user gets in, reaches its own queues and nothing else.
func TestLeastPrivilege(t *testing.T) {
	r := start(t)
	// What an order passes is allowed: everybody has declared, bound, published and consumed.
	orders := make([]order, 1)
	if err := r.placeOne(t.Context(), 0, &orders[0]); err != nil {
		t.Fatal(err)
	}
	eventually(t, endPatience, r.ended(orders, 1))

	u, err := url.Parse(r.AMQPURL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("payment", r.password(t, "payment"))
	conn, err := amqp.Dial(u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for name, use := range map[string]func(*amqp.Channel) error{
		"publish what order tells": func(c *amqp.Channel) error { return publishConfirmed(t.Context(), c, "order.placed") },
		"consume what product does": func(c *amqp.Channel) error {
			_, err := c.Consume("order.placed.product", "", false, false, false, false, nil)
			return err
		},
		"purge what order consumes": func(c *amqp.Channel) error {
			_, err := c.QueuePurge("stock.reserved.order", false)
			return err
		},
		"listen to goods": func(c *amqp.Channel) error {
			q, err := c.QueueDeclare("payment.spy", false, true, true, false, nil)
			if err != nil {
				return err
			}
			return c.QueueBind(q.Name, "#", "stock.reserved", false, nil)
		},
	} {
		c, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		err = use(c)
		var refusal *amqp.Error
		if !errors.As(err, &refusal) || refusal.Code != amqp.AccessRefused {
			t.Errorf("payment may %s: %v", name, err)
		}
	}
	for user, want := range map[string]int{access.Observer: http.StatusOK, "payment": http.StatusUnauthorized} {
		if got := r.looksAtNodes(t, user); got != want {
			t.Errorf("%s at the management API: %d, not %d", user, got, want)
		}
	}
	// No password is in an environment, where every child and every dump would have it.
	for _, name := range []string{system.Order, system.Payment, system.Product, system.Shipment} {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.PID(name)), "environ"))
		if err != nil {
			t.Skip("no /proc here")
		}
		for _, u := range access.Users() {
			if strings.Contains(string(env), r.password(t, u.Name)) {
				t.Errorf("the environment of %s holds the password of %s", name, u.Name)
			}
		}
	}
}

// password is what the demo made for a user.
func (r run) password(t *testing.T, user string) string {
	t.Helper()
	p, err := access.Read(r.CredentialsDir(), access.PasswordFile(user))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// looksAtNodes is the status of the management API's answer to a user.
func (r run) looksAtNodes(t *testing.T, user string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.ManagementURL(1)+"/api/nodes", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, r.password(t, user))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// publishConfirmed publishes a message and waits for what the broker says.
func publishConfirmed(ctx context.Context, c *amqp.Channel, exchange string) error {
	closed := c.NotifyClose(make(chan *amqp.Error, 1))
	if err := c.Confirm(false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	d, err := c.PublishWithDeferredConfirmWithContext(ctx, exchange, "", false, false, amqp.Publishing{Body: []byte("{}")})
	if err != nil {
		return err
	}
	select {
	case e := <-closed:
		return e
	case <-d.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
