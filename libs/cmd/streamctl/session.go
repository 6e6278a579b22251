package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/warren-mq/warren/libs/run"
	"github.com/warren-mq/warren/libs/stream/dlq"
)

// Limits of talking to a broker.
const (
	connectTimeout  = 10 * time.Second
	requestTimeout  = 10 * time.Second
	listingBytesMax = 64 << 20
)

// session is the connection of one command.
type session struct {
	cli    *cli
	out    io.Writer
	getenv func(string) string
	conn   *amqp.Connection
}

// queue opens a dead-letter queue.
func (s *session) queue(name string) (*dlq.Queue, error) {
	if s.conn == nil {
		props := amqp.NewConnectionProperties()
		props.SetClientConnectionName("streamctl")
		conn, err := amqp.DialConfig(s.cli.URL, amqp.Config{Properties: props, Dial: amqp.DefaultDial(connectTimeout)})
		var malformed *url.Error
		switch {
		case errors.As(err, &malformed) || err != nil && strings.Contains(err.Error(), "AMQP scheme"):
			return nil, run.UsageError{Err: errors.New("--url is no AMQP URL: amqp://user:password@host:port/vhost")}
		case err != nil:
			return nil, fmt.Errorf("connect: %w", err)
		}
		s.conn = conn
	}
	return dlq.Open(s.conn, name)
}

func (s *session) close() {
	if s.conn != nil {
		_ = s.conn.Close() // the command is done
	}
}

// queueInfo is what the management API says about a queue.
type queueInfo struct {
	Name      string `json:"name"`
	VHost     string `json:"vhost"`
	Messages  int    `json:"messages"`
	Consumers int    `json:"consumers"`
}

// queues asks the management API for the queues of the virtual host.
func (s *session) queues(ctx context.Context) ([]queueInfo, error) {
	uri, err := amqp.ParseURI(s.cli.URL)
	if err != nil {
		return nil, run.UsageError{Err: errors.New("--url is no AMQP URL: amqp://user:password@host:port/vhost")}
	}
	base, err := url.Parse(s.cli.HTTP)
	if err != nil || base.Host == "" {
		return nil, run.UsageError{Err: errors.New("--http is no URL: http://user:password@host:port")}
	}
	user := base.User
	base.User = nil
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	path := strings.TrimRight(base.String(), "/") + "/api/queues/" + url.PathEscape(uri.Vhost)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if password, ok := user.Password(); ok {
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("management API: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("management API: %s answers %s", path, resp.Status)
	}
	var all []queueInfo
	if err := json.NewDecoder(io.LimitReader(resp.Body, listingBytesMax)).Decode(&all); err != nil {
		return nil, fmt.Errorf("management API: %w", err)
	}
	return all, nil
}
