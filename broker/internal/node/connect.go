package node

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/warren-mq/warren/broker/internal/auth"
	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/metadata"
)

// ClientInfo describes the client behind a link, for those who list connections.
type ClientInfo struct {
	Name        string // "peer -> local"
	Peer, Local net.Addr
	Properties  message.Table // as the client sent them
	Mechanism   string        // how it authenticated
	ChannelMax  uint16
	FrameMax    uint32        // bytes
	Heartbeat   time.Duration // 0: none
	TLS         *TLSInfo      // nil: plain
	Traffic     *Traffic      // nil: not counted
}

// TLSInfo describes a client's TLS.
type TLSInfo struct {
	Version string // such as "tlsv1.3"
	Cipher  string
	Subject string // the client's certificate's, "" for none
	Issuer  string
}

// Traffic counts what went over a client's socket.
type Traffic struct {
	Received, Sent atomic.Uint64 // bytes
	Reads, Writes  atomic.Uint64
}

// Authenticate checks a user's password. Nobody gets in with an empty one.
func (n *Node) Authenticate(user, password string) (err error) {
	defer func() {
		if err != nil {
			n.meters.churn.loginsBad.Add(1)
			n.emit("user.authentication.failure", field("name", user), field("error", err.Error()))
			return
		}
		n.meters.churn.loginsGood.Add(1)
	}()
	u, err := n.user(user)
	switch {
	case err != nil:
		return err
	case password == "":
		return fault.Hard(fault.AccessRefused, "user '%s' attempted to log in with a blank password", user)
	case !auth.Verify(auth.Algorithm(u.Hashing), u.PasswordHash, password):
		return invalidCredentials(user)
	}
	return nil
}

// Identify checks that there is a user, who has been authenticated by other means.
func (n *Node) Identify(user string) error {
	_, err := n.user(user)
	return err
}

func (n *Node) user(name string) (*metadata.User, error) {
	n.topologyMu.RLock()
	u := n.topology.Users[name]
	n.topologyMu.RUnlock()
	if u == nil {
		return nil, invalidCredentials(name)
	}
	return u, nil
}

func invalidCredentials(user string) error {
	return fault.Hard(fault.AccessRefused, "user '%s' - invalid credentials", user)
}

// Connect gives a client that has logged in its link to a virtual host.
func (n *Node) Connect(ctx context.Context, vhost, user string, info ClientInfo, s Session) (*Link, error) {
	l := &Link{
		n: n, vhost: vhost, user: user, info: info, session: s, room: make(chan struct{}, 1), since: n.now(),
		owner:     metadata.ConnID{Replica: n.id.Replica, Incarnation: n.id.Incarnation, Serial: n.linkSerial.Add(1)},
		consumers: map[*Consumer]struct{}{}, channels: map[uint16]*ChannelState{},
	}
	// From here on it counts, and ends with its user and its virtual host: of two clients
	// that want the last place both may be refused, never both let in.
	n.addLink(l)
	n.warn(l)
	if err := n.admitClient(ctx, l); err != nil {
		l.Close()
		return nil, err
	}
	n.linksMu.Lock()
	l.open = true
	n.meters.churn.connectionsOpened.Add(1)
	n.linksMu.Unlock()
	n.emit("user.authentication.success", field("name", user), field("connection_name", info.Name), field("protocol", "AMQP 0-9-1"), field("auth_mechanism", info.Mechanism))
	n.emit("connection.created", field("name", info.Name), field("user", user), field("vhost", vhost), field("protocol", "AMQP 0-9-1"),
		field("auth_mechanism", info.Mechanism), field("ssl", info.TLS != nil), field("client_properties", info.Properties))
	if n.Drained() {
		l.session.Abort(maintenanceText)
	}
	return l, nil
}

// admitClient checks whether a client may open its virtual host, in the order in which
// clients know the refusals.
func (n *Node) admitClient(ctx context.Context, l *Link) error {
	n.topologyMu.RLock()
	u, v := n.topology.Users[l.user], n.topology.VHosts[l.vhost]
	var ofVHost, ofUser int64
	var vhostLimited, userLimited, allowed bool
	if v != nil {
		ofVHost, vhostLimited = v.Limits.Of(metadata.MaxConnections)
	}
	if u != nil {
		ofUser, userLimited = u.Limits.Of(metadata.MaxConnections)
		_, allowed = u.Permissions[l.vhost]
	}
	n.topologyMu.RUnlock()
	if v == nil {
		return fault.Hard(fault.NotAllowed, "vhost %s not found", l.vhost)
	}
	if vhostLimited || userLimited {
		c := n.count(ctx, l.vhost, l.user)
		if vhostLimited && int64(c.VHost) > ofVHost {
			return fault.Hard(fault.NotAllowed, "access to vhost '%s' refused for user '%s': connection limit (%d) is reached", l.vhost, l.user, ofVHost)
		}
		if userLimited && int64(c.User) > ofUser {
			return fault.Hard(fault.NotAllowed, "connection refused for user '%s': user connection limit (%d) is reached", l.user, ofUser)
		}
	}
	if !allowed {
		return vhostRefused(l.vhost, l.user)
	}
	return nil
}

// OpenChannel counts a channel, of which s tells; it fails when there are as many as may
// be.
func (l *Link) OpenChannel(ctx context.Context, number uint16, s *ChannelState) error {
	l.n.addChannel(l, number, s)
	err := l.n.admitChannel(ctx, l)
	if err != nil {
		l.CloseChannel(number)
	}
	return err
}

func (n *Node) admitChannel(ctx context.Context, l *Link) error {
	if u := l.access().user; u != nil {
		limit, limited := u.Limits.Of(metadata.MaxChannels)
		if limited && int64(n.count(ctx, l.vhost, l.user).Channels) > limit {
			return fault.Hard(fault.NotAllowed, "number of channels opened for user '%s' has reached the maximum allowed user limit of %d", l.user, limit)
		}
	}
	n.linksMu.Lock()
	all := n.tally.all
	n.linksMu.Unlock()
	if most := n.cfg.ChannelsMax; most > 0 && all > most {
		return fault.Hard(fault.NotAllowed, "number of channels opened on node '%s' has reached the maximum allowed limit of %d", n.cfg.Name, most)
	}
	return nil
}

// CloseChannel takes back what OpenChannel counted.
func (l *Link) CloseChannel(number uint16) { l.n.removeChannel(l, number) }

// accessChanged makes links look at permissions anew, and ends those whose user or
// virtual host is gone.
func (n *Node) accessChanged() {
	n.accessVersion.Add(1)
	n.retrace()
	n.linksMu.Lock()
	links := slices.Collect(maps.Keys(n.links))
	n.linksMu.Unlock()
	for _, l := range links {
		if why := n.orphaned(l); why != "" {
			l.session.Abort(why)
		}
	}
}

// orphaned says why the link can't go on, "" if it can.
func (n *Node) orphaned(l *Link) string {
	n.topologyMu.RLock()
	defer n.topologyMu.RUnlock()
	switch {
	case n.topology.Users[l.user] == nil:
		return "user '" + l.user + "' is deleted"
	case n.topology.VHosts[l.vhost] == nil:
		return "vhost '" + l.vhost + "' is deleted"
	}
	return ""
}
