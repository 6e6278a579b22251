package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// FunctionRouter is the name of the function that calls another one by what a message says, see Catalog.Bind.
const FunctionRouter = "functionRouter"

// Catalog holds functions by name, so that configuration may choose and compose them: "log;uppercase|print".
type Catalog struct {
	functions map[string]named
	errs      []error
}

// named is a function with its types hidden. Between two of them a value of the right type passes as it is, and any other as
// its encoded payload.
type named struct {
	input, output bool
	accepts       func(in any) bool // whether call takes it as it is
	// call takes a Raw, or a Message of the type it likes, and returns a Message or nil.
	call func(ctx context.Context, c Converter, b Binding, in any) (any, error)
	// encode turns what call returned into a Raw.
	encode func(c Converter, b Binding, out any) (Raw, error)
}

// NewCatalog returns an empty catalog.
func NewCatalog() *Catalog { return &Catalog{functions: map[string]named{}} }

// AddFunction adds a function. Mistakes are reported by Catalog.Bind.
func AddFunction[A, B any](c *Catalog, name string, f Function[A, B]) {
	c.add(name, named{input: true, output: true, accepts: isMessage[A], encode: encodeAny[B], call: func(ctx context.Context, conv Converter, b Binding, in any) (any, error) {
		m, err := typed[A](conv, b, in)
		if err != nil {
			return nil, err
		}
		r, err := f(ctx, m)
		if err != nil || r == nil {
			return nil, err
		}
		r.CorrelationID = or(r.CorrelationID, m.CorrelationID)
		return *r, nil
	}})
}

// AddConsumer adds a consumer.
func AddConsumer[T any](c *Catalog, name string, f Consumer[T]) {
	c.add(name, named{input: true, accepts: isMessage[T], call: func(ctx context.Context, conv Converter, b Binding, in any) (any, error) {
		m, err := typed[T](conv, b, in)
		if err != nil {
			return nil, err
		}
		return nil, f(ctx, m)
	}})
}

// AddSupplier adds a supplier.
func AddSupplier[T any](c *Catalog, name string, f Supplier[T]) {
	c.add(name, named{output: true, encode: encodeAny[T], call: func(ctx context.Context, _ Converter, _ Binding, _ any) (any, error) {
		m, err := f(ctx)
		if err != nil || m == nil {
			return nil, err
		}
		return *m, nil
	}})
}

func (c *Catalog) add(name string, f named) {
	if name == "" || strings.ContainsAny(name, "|;, ") || name == FunctionRouter || c.functions[name].call != nil {
		c.errs = append(c.errs, fmt.Errorf("stream: %q cannot be a function's name: it is empty, taken, or has one of | ; , and space", name))
		return
	}
	c.functions[name] = f
}

// typed makes a Message[T] of what the function before returned, or of a delivery.
func typed[T any](c Converter, b Binding, in any) (Message[T], error) {
	if m, ok := in.(Message[T]); ok {
		return m, nil
	}
	raw, ok := in.(Raw)
	if !ok {
		return Message[T]{}, fmt.Errorf("stream: %T reached a function of %T", in, *new(T))
	}
	return decode[T](c, b, raw)
}

func isMessage[T any](in any) bool {
	_, ok := in.(Message[T])
	return ok
}

func encodeAny[T any](c Converter, b Binding, out any) (Raw, error) {
	m, ok := out.(Message[T])
	if !ok {
		return Raw{}, fmt.Errorf("stream: %T where %T is encoded", out, *new(T))
	}
	return encode(c, b, m)
}

// Route chooses a function for a message, by its definition. An empty one leaves it to the header [HeaderFunction].
type Route func(m Raw) (definition string, err error)

// Bind registers what a definition says: names with ';' between, each a function or a composition with '|' between. The
// bindings are called <names>-in-0 and <names>-out-0, without the bars; properties returns those of each. A definition that is
// empty means the only function there is.
//
// The name [FunctionRouter] is a function that calls the one that route names, or the message's header when route is nil.
// Functions that it may call are all of the catalog; a name that is not there dead-letters the message.
func (c *Catalog) Bind(a *App, definition string, properties func(binding string) Binding, route Route) error {
	if err := errors.Join(c.errs...); err != nil {
		return err
	}
	if definition == "" && len(c.functions) == 1 {
		for name := range c.functions {
			definition = name
		}
	}
	if definition == "" {
		return fmt.Errorf("stream: %d functions and no definition that says which to bind: %s", len(c.functions), strings.Join(c.names(), ", "))
	}
	for one := range strings.SplitSeq(definition, ";") {
		f, err := c.compose(strings.TrimSpace(one), route)
		if err != nil {
			return err
		}
		name := strings.NewReplacer("|", "", " ", "").Replace(one)
		in, out := properties(name+"-in-0"), properties(name+"-out-0")
		in.Name, out.Name = name+"-in-0", name+"-out-0"
		if name == FunctionRouter && out.Destination == "" {
			f.output = false // results have nowhere to go, nor need they
		}
		c.bind(a, f, in, out)
	}
	return nil
}

// bind registers one function.
func (c *Catalog) bind(a *App, f named, in, out Binding) {
	if f.output {
		o := a.bindOutput(out)
		out = o.binding
		if !f.input {
			o.poll = &poller{ask: supply(a, out.Name, func(ctx context.Context) (*Raw, error) {
				r, err := f.run(ctx, a.converter, out, out, nil)
				return r, err
			})}
			return
		}
	}
	in = in.withDefaults()
	a.bindInput(&input{binding: in, handle: func(ctx context.Context, raw Raw) error {
		r, err := f.run(ctx, a.converter, in, out, raw)
		if err != nil || r == nil || !f.output {
			return err
		}
		return errors.Join(a.PublishRaw(ctx, or(r.Headers.String(HeaderSendTo), out.Name), []Raw{*r})...)
	}})
}

// run calls f and encodes what it returns.
func (f named) run(ctx context.Context, c Converter, in, out Binding, m any) (*Raw, error) {
	r, err := f.call(ctx, c, in, m)
	if err != nil || r == nil {
		return nil, err
	}
	raw, err := f.encode(c, out, r)
	return &raw, err
}

func (c *Catalog) names() []string {
	all := make([]string, 0, len(c.functions))
	for name := range c.functions {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// compose builds the function of "a|b|c".
func (c *Catalog) compose(definition string, route Route) (named, error) {
	var whole named
	for i, name := range strings.Split(definition, "|") {
		name = strings.TrimSpace(name)
		f, ok := c.functions[name]
		if name == FunctionRouter {
			f, ok = c.router(route), true
		}
		switch {
		case !ok:
			return named{}, fmt.Errorf("stream: there is no function %q, there are %s", name, strings.Join(c.names(), ", "))
		case i == 0:
			whole = f
		case !whole.output || !f.input:
			return named{}, fmt.Errorf("stream: %q: nothing can flow into %s", definition, name)
		default:
			whole = after(whole, f)
		}
	}
	return whole, nil
}

// after is g after f.
func after(f, g named) named {
	return named{input: f.input, output: g.output, accepts: f.accepts, encode: g.encode, call: func(ctx context.Context, c Converter, b Binding, in any) (any, error) {
		out, err := f.call(ctx, c, b, in)
		if err != nil || out == nil {
			return nil, err
		}
		if !g.accepts(out) {
			if out, err = f.encode(c, b, out); err != nil {
				return nil, err
			}
		}
		return g.call(ctx, c, b, out)
	}}
}

// router is the function that calls another one.
func (c *Catalog) router(route Route) named {
	return named{
		input: true, output: true, accepts: isMessage[[]byte],
		encode: encodeAny[[]byte],
		call: func(ctx context.Context, conv Converter, b Binding, in any) (any, error) {
			raw, ok := in.(Raw)
			if !ok {
				return nil, fmt.Errorf("stream: %T reached the function router", in)
			}
			definition := raw.Headers.String(HeaderFunction)
			if route != nil {
				var err error
				if definition, err = route(raw); err != nil {
					return nil, Reject(err)
				}
			}
			if definition == "" || strings.Contains(definition, FunctionRouter) {
				return nil, Reject(fmt.Errorf("stream: message names no function: %s is %q", HeaderFunction, definition))
			}
			f, err := c.compose(definition, nil)
			if err != nil {
				return nil, Reject(err)
			}
			if !f.input {
				return nil, Reject(fmt.Errorf("stream: %q takes no message", definition))
			}
			r, err := f.run(ctx, conv, b, b, raw)
			if err != nil || r == nil {
				return nil, err
			}
			return *r, nil
		},
	}
}
