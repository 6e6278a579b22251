// Package config reads the configuration of bindings under Spring Cloud Stream's own keys: an application.yml's blocks
// spring.cloud.stream, spring.cloud.function and spring.rabbitmq, and the environment variables that override them. Names are
// relaxed: max-attempts, maxAttempts and MAX_ATTEMPTS are one key. What stands elsewhere in the file belongs to others and is
// ignored; an unknown key of these blocks is an error that names the nearest known one. Expressions are compiled here.
package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
	"github.com/warren-mq/warren/libs/stream/rabbit"
)

// Limits of a configuration.
const (
	BytesMax = 1 << 20 // of the YAML
	depthMax = 32
)

// Config is what was read.
type Config struct {
	// Definition is spring.cloud.function.definition: what Catalog.Bind takes.
	Definition string
	// Route is made of spring.cloud.function.routing-expression; nil when there is none.
	Route stream.Route

	defaults  []entry            // of every binding
	bindings  map[string][]entry // by name
	aliases   map[string]string  // implicit binding names to explicit ones
	rabbit    rabbit.Config      // of spring.rabbitmq
	address   address
	binders   map[string]*binder
	instance  instance
	level     int // compression of all producers
	byDefault string
	dynamic   []string
	outputs   []string
	inputs    []string
}

// binder is one of spring.cloud.stream.binders.
type binder struct {
	kind    string
	inherit bool
	entries []entry // below environment
}

// instance is which of how many this process is.
type instance struct {
	count, index int
	indexes      []int
}

// entry is a key below a known block, with its value.
type entry struct {
	path []string // as written
	text string
	list bool // text is one element, and the first clears what was there
	at   string
}

// Parse reads a YAML document, which may be empty, and the environment as os.Environ returns it.
func Parse(yaml []byte, environ []string) (*Config, error) {
	env := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	entries, err := flatten(yaml, env)
	if err != nil {
		return nil, err
	}
	c := &Config{bindings: map[string][]entry{}, aliases: map[string]string{}, binders: map[string]*binder{}}
	var errs []error
	for _, e := range entries {
		errs = append(errs, c.take(e))
	}
	more, err := c.fromEnvironment(env)
	errs = append(errs, err)
	for _, e := range more {
		errs = append(errs, c.take(e))
	}
	for name := range c.bindings {
		_, err := c.build(name)
		errs = append(errs, err)
	}
	_, err = c.build("") // the defaults alone
	errs = append(errs, err)
	for name, b := range c.binders {
		_, err := c.rabbitOf(b)
		if err != nil {
			err = fmt.Errorf("binder %s: %w", name, err)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(unique(errs)...); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return c, nil
}

// unique keeps the first of errors with one text: a wrong default is found once for every binding.
func unique(errs []error) (kept []error) {
	seen := map[string]bool{}
	for _, err := range errs {
		if err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			kept = append(kept, err)
		}
	}
	return kept
}

// take sorts an entry into its block.
func (c *Config) take(e entry) error {
	switch {
	case e.below("spring", "rabbitmq"):
		return c.takeRabbit(&c.rabbit, &c.address, e.from(2))
	case e.below("spring", "integration", "poller"):
		return c.takePoller(e.from(3))
	case e.below("spring", "cloud", "function"):
		return c.takeFunction(e.from(3))
	case !e.below("spring", "cloud", "stream"):
		return nil // somebody else's
	}
	e = e.from(3)
	switch {
	case e.below("bindings") && len(e.path) > 2:
		c.addTo(e.path[1], e, e.path[2:])
	case e.below("rabbit", "bindings") && len(e.path) > 3:
		c.addTo(e.path[2], e, append([]string{"rabbit"}, e.path[3:]...))
	case e.below("default"):
		c.defaults = append(c.defaults, e.from(1))
	case e.below("rabbit", "default"):
		e.path = append([]string{"rabbit"}, e.path[2:]...)
		c.defaults = append(c.defaults, e)
	case e.below("rabbit", "binder"):
		return c.takeRabbitBinder(e.from(2))
	case e.below("binders") && len(e.path) > 2:
		return c.takeBinder(e.path[1], e.from(2))
	case e.below("function", "bindings") && len(e.path) == 3:
		c.aliases[e.path[2]] = e.text
	default:
		return c.takeStream(e)
	}
	return nil
}

// addTo adds an entry to a binding's.
func (c *Config) addTo(name string, e entry, path []string) {
	e.path = path
	c.bindings[name] = append(c.bindings[name], e)
}

// Binding returns the properties of a binding: the defaults, and what its own block says. A binding that has no block has the
// defaults and is named after itself.
func (c *Config) Binding(name string) stream.Binding {
	b, err := c.build(name)
	if err != nil {
		panic("config: Parse let through: " + err.Error())
	}
	return b
}

// Names returns the names of all bindings that have a block, or are listed as inputs or outputs.
func (c *Config) Names() []string {
	names := slices.Concat(slices.Collect(maps.Keys(c.bindings)), c.inputs, c.outputs)
	slices.Sort(names)
	return slices.Compact(names)
}

func (c *Config) build(name string) (stream.Binding, error) {
	b := stream.Binding{Name: name, Binder: c.byDefault}
	if explicit, ok := c.aliases[name]; ok {
		b.Name = explicit
	}
	b.Producer.CompressionLevel = c.level
	b.Consumer.InstanceIndex, b.Consumer.InstanceIndexes = c.instance.index, slices.Clone(c.instance.indexes)
	var errs []error
	for _, e := range inOrder(slices.Concat(c.defaults, c.bindings[b.Name])) {
		errs = append(errs, apply(&b, e))
	}
	if b.Binder != "" && c.binders[b.Binder] == nil {
		errs = append(errs, fmt.Errorf("binding %s: there is no binder %q", name, b.Binder))
	}
	return b, errors.Join(errs...)
}

// NewApp returns an App on the binders that the configuration describes: the one of spring.rabbitmq, and those of
// spring.cloud.stream.binders. change, when not nil, may complete each binder's configuration.
func (c *Config) NewApp(change func(binder string, r *rabbit.Config), opts ...stream.Option) (*stream.App, error) {
	main, err := c.newBinder("", c.rabbit, c.address, change)
	if err != nil {
		return nil, err
	}
	for name, b := range c.binders {
		cfg, err := c.rabbitOf(b)
		if err != nil {
			return nil, err
		}
		made, err := c.newBinder(name, cfg, address{}, change)
		if err != nil {
			return nil, err
		}
		opts = append(opts, stream.WithBinder(name, made))
	}
	if len(c.dynamic) > 0 || len(c.defaults) > 0 {
		opts = append(opts, stream.WithDynamicDestinations(c.Binding(""), c.dynamic...))
	}
	return stream.New(main, opts...), nil
}

func (c *Config) newBinder(name string, cfg rabbit.Config, a address, change func(string, *rabbit.Config)) (stream.Binder, error) {
	if len(cfg.Addresses) == 0 {
		cfg.Addresses = a.urls()
	}
	if change != nil {
		change(name, &cfg)
	}
	return rabbit.New(cfg)
}

// Rabbit returns the binder's configuration that spring.rabbitmq makes.
func (c *Config) Rabbit() rabbit.Config {
	cfg := c.rabbit
	cfg.Addresses = c.address.urls()
	return cfg
}

// compileRoute makes a Route of an expression that yields a function's name.
func compileRoute(text string) (stream.Route, error) {
	e, err := expr.Compile(text)
	if err != nil {
		return nil, err
	}
	return func(m stream.Raw) (string, error) { return e.Text(expr.Of(m)) }, nil
}

// below tells whether the entry is in the block that the canonical segments name.
func (e entry) below(block ...string) bool {
	if len(e.path) <= len(block) {
		return false
	}
	for i, s := range block {
		if canonical(e.path[i]) != s {
			return false
		}
	}
	return true
}

// from is the entry without the first n segments.
func (e entry) from(n int) entry {
	e.path = e.path[n:]
	return e
}

func (e entry) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", e.at, fmt.Errorf(format, args...))
}

// canonical is the relaxed form of one segment: lower case, letters and digits only.
func canonical(s string) string { return strings.ToLower(withoutDashes.Replace(s)) }

var withoutDashes = strings.NewReplacer("-", "", "_", "")
