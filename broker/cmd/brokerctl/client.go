package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	requestTimeout = 30 * time.Second
	replyBytesMax  = 256 << 20
)

// client speaks to the management API of one node.
type client struct {
	http           http.Client
	scheme         string // of the nodes' addresses
	reason         string // why, for those whom a request concerns
	user, password string
	nodes          []node // in the order to try
	byName         map[string]string
}

type node struct{ name, addr string }

// apiError is what a node answered.
type apiError struct {
	status  int
	reason  string
	refused []refusal // entries of an import
}

// retriable reports whether a node may answer otherwise in a moment.
func retriable(err error) bool {
	var e *apiError
	return !errors.As(err, &e) || e.status == http.StatusServiceUnavailable
}

// Error returns the reason.
func (e *apiError) Error() string { return e.reason }

func newClient(c *cli) (*client, error) {
	cl := &client{user: c.User, password: c.Password, scheme: "http://", byName: map[string]string{}}
	cl.http.Timeout = requestTimeout
	if c.Tls {
		cl.scheme = "https://"
		secure, err := trust(c.Ca)
		if err != nil {
			return nil, err
		}
		cl.http.Transport = &http.Transport{TLSClientConfig: secure, Proxy: http.ProxyFromEnvironment}
	}
	var all []node
	for _, n := range c.Nodes {
		name, addr, ok := strings.Cut(n, "=")
		if !ok {
			return nil, fmt.Errorf("%w: --nodes %q: want name=host:port", errUsage, n)
		}
		all = append(all, node{name, addr})
		cl.byName[name] = addr
	}
	switch {
	case c.Node == "":
		cl.nodes = all
	case strings.Contains(c.Node, ":"):
		cl.nodes = []node{{c.Node, c.Node}}
	case cl.byName[c.Node] != "":
		cl.nodes = []node{{c.Node, cl.byName[c.Node]}}
	default:
		var names []string
		for _, n := range all {
			names = append(names, n.name)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("%w: unknown node %q; known are %s (--nodes adds others), or give host:port", errUsage, c.Node, strings.Join(names, ", "))
	}
	return cl, nil
}

// trust are the settings of TLS towards nodes whose certificates a file's authority signs.
func trust(ca string) (*tls.Config, error) {
	if ca == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("%w: --ca: %w", errUsage, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: --ca: no certificate in %s", errUsage, ca)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

// call sends a request to the node, or to the first that answers, and decodes the
// answer into out unless that is nil.
func (c *client) call(ctx context.Context, method, path string, body, out any) error {
	var err error
	for _, n := range c.nodes {
		var reached bool
		if reached, err = c.callNode(ctx, n, method, path, body, out); reached {
			return err
		}
	}
	return err
}

func (c *client) callNode(ctx context.Context, n node, method, path string, body, out any) (reached bool, err error) {
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return true, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.scheme+n.addr+path, bytes.NewReader(payload))
	if err != nil {
		return true, err
	}
	req.SetBasicAuth(c.user, c.password)
	if c.reason != "" {
		req.Header.Set("X-Reason", c.reason)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, fmt.Errorf("unable to connect to node '%s': %w", n.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, replyBytesMax))
	if err != nil {
		return true, err
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var problem struct {
			Reason, Detail string
			Refused        []refusal
		}
		if json.Unmarshal(b, &problem) != nil || problem.Reason == "" {
			problem.Reason = resp.Status
		}
		if problem.Detail != "" {
			problem.Reason = problem.Detail
		}
		return true, &apiError{resp.StatusCode, strings.ReplaceAll(strings.TrimSpace(problem.Reason), "\n\n", ": "), problem.Refused}
	}
	if out == nil || len(b) == 0 {
		return true, nil
	}
	return true, json.Unmarshal(b, out)
}
