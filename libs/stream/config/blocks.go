package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/warren-mq/warren/libs/stream/rabbit"
)

// setting is a known key that is not of a binding.
type setting func(c *Config, e entry) error

// nothing is a key that Spring knows and that has nothing to do here.
func nothing(*Config, entry) error { return nil }

// streamKeys are those right below spring.cloud.stream.
var streamKeys = map[string]setting{
	"instanceCount": func(c *Config, e entry) (err error) { c.instance.count, err = number(e.text); return err },
	"instanceIndex": func(c *Config, e entry) (err error) { c.instance.index, err = number(e.text); return err },
	"instanceIndexList": func(c *Config, e entry) error {
		if !e.list {
			c.instance.indexes = nil
		}
		for _, s := range split(e.text, ",") {
			n, err := number(s)
			if err != nil {
				return err
			}
			c.instance.indexes = append(c.instance.indexes, n)
		}
		return nil
	},
	"dynamicDestinations":         func(c *Config, e entry) error { return collect(&c.dynamic, e, ",") },
	"dynamicDestinationCacheSize": nothing, // they are never evicted
	"defaultBinder":               func(c *Config, e entry) error { c.byDefault = e.text; return nil },
	"bindingRetryInterval":        nothing, // recovery has the binder's own pauses
	"overrideCloudConnectors":     nothing,
	"inputBindings":               func(c *Config, e entry) error { return collect(&c.inputs, e, ";") },
	"outputBindings":              func(c *Config, e entry) error { return collect(&c.outputs, e, ";") },
	"source":                      func(c *Config, e entry) error { return collect(&c.outputs, e, ";") },
	"function.definition":         func(c *Config, e entry) error { c.Definition = e.text; return nil },
	"function.autodetect":         nothing,
	"poller.fixedDelay":           pollerDefault, "poller.maxMessagesPerPoll": pollerDefault, "poller.initialDelay": pollerDefault,
	"poller.cron": pollerDefault, "poller.timeUnit": pollerDefault,
}

// pollerKeys are those below spring.integration.poller, Spring Boot's own name for the same.
var pollerKeys = map[string]setting{
	"fixedDelay": integrationPoller, "maxMessagesPerPoll": integrationPoller, "initialDelay": integrationPoller, "cron": integrationPoller,
	"receiveTimeout": nothing, // a supplier is called, and not asked for how long
}

func integrationPoller(c *Config, e entry) error {
	e.path = append([]string{"poller"}, e.path...)
	return pollerDefault(c, e)
}

func pollerDefault(c *Config, e entry) error {
	e.path = append([]string{"producer"}, e.path...)
	c.defaults = append(c.defaults, e)
	return nil
}

// functionKeys are those below spring.cloud.function.
var functionKeys = map[string]setting{
	"definition": func(c *Config, e entry) error { c.Definition = e.text; return nil },
	"routingExpression": func(c *Config, e entry) (err error) {
		c.Route, err = compileRoute(e.text)
		return err
	},
	"autodetect": nothing,
}

func collect(to *[]string, e entry, delimiter string) error {
	if !e.list {
		*to = nil
	}
	*to = append(*to, split(e.text, delimiter)...)
	return nil
}

func (c *Config) takeStream(e entry) error   { return takeFrom(c, streamKeys, e) }
func (c *Config) takePoller(e entry) error   { return takeFrom(c, pollerKeys, e) }
func (c *Config) takeFunction(e entry) error { return takeFrom(c, functionKeys, e) }

func takeFrom(c *Config, keys map[string]setting, e entry) error {
	names := make([]string, 0, len(keys))
	for name, set := range keys {
		if canonical(name) == canonicalPath(e.path) {
			if err := set(c, e); err != nil {
				return e.errorf("%w", err)
			}
			return nil
		}
		names = append(names, name)
	}
	return e.errorf("%w", unknown(strings.Join(e.path, "."), names))
}

// takeRabbitBinder takes what stands below spring.cloud.stream.rabbit.binder.
func (c *Config) takeRabbitBinder(e entry) error {
	return takeFrom(c, map[string]setting{
		"compressionLevel":     func(c *Config, e entry) (err error) { c.level, err = number(e.text); return err },
		"connectionNamePrefix": func(c *Config, e entry) error { c.rabbit.ConnectionName = e.text; return nil },
		"adminAddresses":       nothing, // the broker takes a client's request to a queue's home by itself
		"nodes":                nothing,
	}, e)
}

// takeBinder takes what stands below spring.cloud.stream.binders.<name>.
func (c *Config) takeBinder(name string, e entry) error {
	b := c.binders[name]
	if b == nil {
		b = &binder{inherit: true}
		c.binders[name] = b
	}
	switch {
	case canonicalPath(e.path) == "type":
		if b.kind = e.text; b.kind != "rabbit" {
			return e.errorf("binder type %q, only rabbit can be configured: others are given to stream.WithBinder", e.text)
		}
		return nil
	case canonicalPath(e.path) == "inheritenvironment":
		on, err := truth(e.text)
		if b.inherit = on; err != nil {
			return e.errorf("%w", err)
		}
		return nil
	case canonicalPath(e.path) == "defaultcandidate":
		return nil // spring.cloud.stream.default-binder says which it is
	case e.below("environment", "spring", "rabbitmq"):
		b.entries = append(b.entries, e.from(3))
		return nil
	}
	return e.errorf("%w", unknown(strings.Join(e.path, "."), []string{"type", "inheritEnvironment", "defaultCandidate", "environment.spring.rabbitmq"}))
}

// rabbitOf is the configuration of a binder of its own.
func (c *Config) rabbitOf(b *binder) (rabbit.Config, error) {
	var cfg rabbit.Config
	var a address
	if b.inherit {
		cfg, a = c.rabbit, c.address
	}
	for _, e := range b.entries {
		if err := c.takeRabbit(&cfg, &a, e); err != nil {
			return cfg, err
		}
	}
	cfg.Addresses = a.urls()
	return cfg, nil
}

// address is what spring.rabbitmq says about where the broker is.
type address struct {
	host, port, addresses, username, password, vhost string
	tls                                              bool
}

// takeRabbit takes what stands below spring.rabbitmq.
func (c *Config) takeRabbit(cfg *rabbit.Config, a *address, e entry) error {
	put := func(field *string) setting {
		return func(_ *Config, e entry) error { *field = e.text; return nil }
	}
	wait := func(field *time.Duration) setting {
		return func(_ *Config, e entry) (err error) { *field, err = duration(e.text); return err }
	}
	keys := map[string]setting{
		"host": put(&a.host), "port": put(&a.port), "username": put(&a.username), "password": put(&a.password), "virtualHost": put(&a.vhost),
		"addresses": func(_ *Config, e entry) error {
			if e.list {
				a.addresses += ","
			} else {
				a.addresses = ""
			}
			a.addresses += e.text
			return nil
		},
		"ssl.enabled":        func(_ *Config, e entry) (err error) { a.tls, err = truth(e.text); return err },
		"connectionTimeout":  wait(&cfg.ConnectTimeout),
		"requestedHeartbeat": func(_ *Config, e entry) error { return heartbeat(cfg, e.text) },
		// Confirms and returns are always on.
		"publisherConfirmType": nothing, "publisherConfirms": nothing, "publisherReturns": nothing, "addressShuffleMode": nothing,
	}
	if e.below("template") || e.below("cache") || e.below("listener") {
		return nil // of Spring AMQP's own objects, which are not here
	}
	return takeFrom(c, keys, e)
}

// heartbeat is in seconds unless it has a unit.
func heartbeat(cfg *rabbit.Config, text string) error {
	if n, err := number(text); err == nil && n > 0 {
		cfg.Heartbeat = time.Duration(n) * time.Second
		return nil
	}
	d, err := duration(text)
	cfg.Heartbeat = d
	return err
}

// urls are the addresses as the binder wants them. They hold the password: never print them.
func (a address) urls() []string {
	scheme, port := "amqp", "5672"
	if a.tls {
		scheme, port = "amqps", "5671"
	}
	hosts := split(a.addresses, ",")
	if len(hosts) == 0 {
		hosts = []string{net.JoinHostPort(or(a.host, "localhost"), or(a.port, port))}
	}
	urls := make([]string, len(hosts))
	for i, h := range hosts {
		if strings.Contains(h, "://") {
			urls[i] = h
			continue
		}
		if !strings.Contains(h, ":") {
			h = net.JoinHostPort(h, or(a.port, port))
		}
		u := url.URL{Scheme: scheme, Host: h, User: url.UserPassword(or(a.username, "guest"), or(a.password, "guest"))}
		vhost := or(a.vhost, "/")
		u.Path, u.RawPath = "/"+vhost, "/"+url.PathEscape(vhost)
		urls[i] = u.String()
	}
	return urls
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// String hides the password.
func (a address) String() string {
	return fmt.Sprintf("%s@%s%s:%s", a.username, a.addresses, a.host, a.port)
}
