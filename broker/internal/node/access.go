package node

import (
	"regexp"
	"strings"

	"github.com/warren-mq/warren/broker/internal/auth"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// verb is one of the three things that a permission is about.
type verb uint8

const (
	configure verb = iota
	write
	read
)

func (v verb) String() string { return [...]string{"configure", "write", "read"}[v] }

// What a permission is about.
const (
	anExchange = "exchange"
	aQueue     = "queue"
)

// access is what a link's user may do in the link's virtual host. It is made anew when
// users, permissions or virtual hosts have changed.
type access struct {
	version  uint64 // of Node.accessVersion
	user     *metadata.User
	patterns [3]string // by verb; "" allows nothing
	topics   map[string]metadata.TopicPermission
	allowed  map[grant]struct{} // what was checked: expressions take their time
}

type grant struct {
	verb verb
	name string
}

// grantsMax bounds what a link remembers of checks.
const grantsMax = 64

// access returns what the user may do now. Only the front end's goroutine calls it.
func (l *Link) access() *access {
	version := l.n.accessVersion.Load()
	if a := l.known; a != nil && a.version == version {
		return a
	}
	a := &access{version: version, allowed: map[grant]struct{}{}}
	l.n.topologyMu.RLock()
	a.user = l.n.topology.Users[l.user]
	l.n.topologyMu.RUnlock()
	if a.user != nil {
		p := a.user.Permissions[l.vhost]
		a.patterns = [...]string{p.Configure, p.Write, p.Read}
		a.topics = l.expand(a.user.Topics[l.vhost])
	}
	l.known = a
	return a
}

// expand puts user and virtual host into the patterns of topic permissions.
func (l *Link) expand(topics map[string]metadata.TopicPermission) map[string]metadata.TopicPermission {
	if len(topics) == 0 {
		return nil
	}
	// A name is a name, whatever its letters mean in an expression.
	r := strings.NewReplacer("{username}", regexp.QuoteMeta(l.user), "{vhost}", regexp.QuoteMeta(l.vhost))
	expanded := make(map[string]metadata.TopicPermission, len(topics))
	for exchange, p := range topics {
		expanded[exchange] = metadata.TopicPermission{Write: r.Replace(p.Write), Read: r.Replace(p.Read)}
	}
	return expanded
}

// may checks that the user may do this with a queue or an exchange.
func (l *Link) may(v verb, kind, name string) error {
	a := l.access()
	if a.patterns[v] == ".*" { // what most users have
		return nil
	}
	if name == "" {
		name = auth.DefaultExchange
	}
	g := grant{v, name}
	if _, ok := a.allowed[g]; ok {
		return nil
	}
	if !l.n.patterns.Match(a.patterns[v], name) {
		return fault.New(fault.AccessRefused, "%s access to %s '%s' in vhost '%s' refused for user '%s'", v, kind, name, l.vhost, l.user)
	}
	if len(a.allowed) == grantsMax {
		clear(a.allowed)
	}
	a.allowed[g] = struct{}{}
	return nil
}

// mayTopic checks the user's permission for a routing key of a topic exchange.
func (l *Link) mayTopic(v verb, exchange, key string) error {
	p, restricted := l.access().topics[exchange]
	if !restricted || !l.n.isTopic(l.vhost, exchange) {
		return nil
	}
	expr := p.Write
	if v == read {
		expr = p.Read
	}
	if !l.n.patterns.Match(expr, key) {
		return fault.New(fault.AccessRefused, "%s access to topic '%s' in exchange '%s' in vhost '%s' refused for user '%s'",
			v, key, exchange, l.vhost, l.user)
	}
	return nil
}

func (n *Node) isTopic(vhost, exchange string) bool {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	x, f := n.topology.Exchange(vhost, exchange)
	return f == nil && x.Type == "topic"
}

// maySend checks what stands behind the routing of a message: the keys, and who it claims
// to come from.
func (l *Link) maySend(m *message.Message) error {
	a := l.access()
	if a.topics != nil {
		keys := append([]string{m.RoutingKey}, copies(m)...)
		for _, key := range keys {
			if err := l.mayTopic(write, m.Exchange, key); err != nil {
				return err
			}
		}
	}
	id, ok := message.PeekShort(m.Properties, message.HasUserID)
	if !ok || string(id) == l.user || a.user != nil && a.user.HasTag("impersonator") {
		return nil
	}
	return fault.New(fault.PreconditionFailed, "user_id property set to '%s' but authenticated user was '%s'", id, l.user)
}

// copies returns the routing keys of a message's headers CC and BCC.
func copies(m *message.Message) []string {
	raw := message.PeekHeaders(m.Properties)
	var keys []string
	for _, name := range [...]string{"CC", "BCC"} {
		v, _ := message.FindField(raw, name)
		list, _ := v.([]any)
		for _, k := range list {
			if key, ok := k.(string); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// mayDeclare checks the permission for a declare; a passive one needs any.
func (l *Link) mayDeclare(kind, name string, passive bool) error {
	err := l.may(configure, kind, name)
	if err == nil || !passive {
		return err
	}
	if l.may(read, kind, name) == nil || l.may(write, kind, name) == nil {
		return nil
	}
	return err
}

// mayDeadLetter checks the permissions that a new queue's dead-letter exchange needs.
func (l *Link) mayDeadLetter(queue string, args message.Table) error {
	return l.mayPassOn(aQueue, queue, args, "x-dead-letter-exchange")
}

// mayAlternate checks the permissions that a new exchange's alternate exchange needs.
func (l *Link) mayAlternate(exchange string, args message.Table) error {
	return l.mayPassOn(anExchange, exchange, args, "alternate-exchange")
}

// mayPassOn checks an argument that names the exchange to which messages go on: whoever
// declares it reads the one and writes to the other.
func (l *Link) mayPassOn(kind, name string, args message.Table, arg string) error {
	v, _ := args.Get(arg)
	to, ok := v.(string)
	if !ok {
		return nil
	}
	if err := l.may(read, kind, name); err != nil {
		return err
	}
	return l.may(write, anExchange, to)
}

// mayBind checks the permissions for a binding, to make it or to remove it.
func (l *Link) mayBind(b BindingSpec) error {
	kind := aQueue
	if b.ToExchange {
		kind = anExchange
	}
	if err := l.may(write, kind, b.Destination); err != nil {
		return err
	}
	if b.Source == "" || b.ToExchange && b.Destination == "" {
		return fault.New(fault.AccessRefused, "operation not permitted on the default exchange")
	}
	if err := l.may(read, anExchange, b.Source); err != nil {
		return err
	}
	return l.mayTopic(read, b.Source, b.Key)
}

// Reauthorize looks at the user's permissions anew, for a client that has authenticated
// again. It returns the consumers that may no longer read their queue; the error ends
// the connection.
func (l *Link) Reauthorize() (lost []*Consumer, err error) {
	l.known = nil
	a := l.access()
	if a.user == nil {
		return nil, vhostRefused(l.vhost, l.user)
	}
	if _, ok := a.user.Permissions[l.vhost]; !ok {
		return nil, vhostRefused(l.vhost, l.user)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.consumers {
		if c.Tag != "" && l.may(read, aQueue, c.Queue) != nil {
			lost = append(lost, c)
		}
	}
	return lost, nil
}

func vhostRefused(vhost, user string) error {
	return fault.Hard(fault.NotAllowed, "access to vhost '%s' refused for user '%s'", vhost, user)
}
