package management

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) connectionRoutes() []route {
	return []route{
		{http.MethodGet, "/api/connections", anyUser, h.connections},
		{http.MethodGet, "/api/connections/username/{user}", anyUser, h.connections},
		{http.MethodDelete, "/api/connections/username/{user}", anyUser, h.closeConnections},
		{http.MethodGet, "/api/vhosts/{vhost}/connections", anyUser, h.connections},
		{http.MethodGet, "/api/connections/{name}", anyUser, h.connection},
		{http.MethodDelete, "/api/connections/{name}", anyUser, h.closeConnection},
		{http.MethodGet, "/api/connections/{name}/channels", anyUser, h.connectionChannels},
		{http.MethodGet, "/api/channels", anyUser, h.channels},
		{http.MethodGet, "/api/vhosts/{vhost}/channels", anyUser, h.channels},
		{http.MethodGet, "/api/channels/{name}", anyUser, h.channel},
		{http.MethodGet, "/api/consumers", anyUser, h.consumers},
		{http.MethodGet, "/api/consumers/{vhost}", anyUser, h.consumers},
	}
}

// closedByAPI is the reason that clients read when the request gives none.
const closedByAPI = "Closed via management plugin"

// seenConnections returns those that the user may see: who watches over all sees all.
func (h *handler) seenConnections(w http.ResponseWriter, r *request) []node.ConnectionStatus {
	var list []node.ConnectionStatus
	for _, c := range h.allConnections(w, r) {
		user, vhost := param(r, "user"), param(r, "vhost")
		mine := c.User == r.user.Name || r.user.HasTag(monitor.tags...)
		if mine && (user == "" || user == c.User) && (vhost == "" || vhost == c.VHost) {
			list = append(list, c)
		}
	}
	return list
}

func (h *handler) findConnection(w http.ResponseWriter, r *request) (*node.ConnectionStatus, error) {
	name := param(r, "name")
	for _, c := range h.seenConnections(w, r) {
		if c.Name == name {
			return &c, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no connection '%s'", name)
}

func (h *handler) connections(w http.ResponseWriter, r *request) error {
	all := h.seenConnections(w, r)
	return h.list(w, r, rows{
		n: len(all), name: func(i int) string { return all[i].Name }, alias: func(i int) string { return clientName(&all[i]) },
		entry: func(i int, _ map[string]any) map[string]any { return connectionJSON(&all[i]) },
	})
}

func (h *handler) connection(w http.ResponseWriter, r *request) error {
	c, err := h.findConnection(w, r)
	if err != nil {
		return err
	}
	return h.one(w, r, connectionJSON(c))
}

func reasonOf(r *request) string {
	if reason := r.Header.Get("X-Reason"); reason != "" {
		return reason
	}
	return closedByAPI
}

func (h *handler) closeConnection(w http.ResponseWriter, r *request) error {
	c, err := h.findConnection(w, r)
	if err != nil {
		return err
	}
	h.b.Node().CloseConnections(r.Context(), c.Name, reasonOf(r))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// closeConnections closes all of a user.
func (h *handler) closeConnections(w http.ResponseWriter, r *request) error {
	for _, c := range h.seenConnections(w, r) {
		h.b.Node().CloseConnections(r.Context(), c.Name, reasonOf(r))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// connectionState is what a connection is about.
func connectionState(c *node.ConnectionStatus) string {
	switch {
	case c.Blocked:
		return "blocked" // an alarm stops publishers
	case c.Full:
		return "flow" // it publishes faster than its queues take
	}
	return "running"
}

func connectionJSON(c *node.ConnectionStatus) map[string]any {
	m := map[string]any{
		"name": c.Name, "node": c.Node, "user": c.User, "user_who_performed_action": c.User, "vhost": c.VHost,
		"state": connectionState(c), "type": "network", "protocol": "AMQP 0-9-1", "auth_mechanism": c.Mechanism,
		"channels": len(c.Channels), "channel_max": c.ChannelMax, "frame_max": c.FrameMax, "timeout": int(c.Heartbeat / time.Second),
		"client_properties": tableJSON(c.Properties.Table), "connected_at": c.Since.UnixMilli(), "ssl": c.TLS != nil, "send_pend": 0,
		"ssl_protocol": nil, "ssl_cipher": nil, "ssl_hash": nil, "ssl_key_exchange": nil,
		"peer_cert_subject": nil, "peer_cert_issuer": nil, "peer_cert_validity": nil,
	}
	rated(m, "recv_oct", c.Received, c.ReceivedRate)
	rated(m, "send_oct", c.Sent, c.SentRate)
	rated(m, "recv_cnt", c.Reads, c.ReadsRate)
	rated(m, "send_cnt", c.Writes, c.WritesRate)
	m["reductions"], m["reductions_details"] = 0, map[string]any{"rate": 0.0}
	m["peer_host"], m["peer_port"] = hostPort(c.Peer)
	m["host"], m["port"] = hostPort(c.Local)
	if name := clientName(c); name != "" {
		m["user_provided_name"] = name
	}
	if c.TLS != nil {
		m["ssl_protocol"], m["ssl_cipher"] = c.TLS.Version, c.TLS.Cipher
		if c.TLS.Subject != "" {
			m["peer_cert_subject"], m["peer_cert_issuer"] = c.TLS.Subject, c.TLS.Issuer
		}
	}
	return m
}

// clientName is what a client calls its connection; "" if it says nothing.
func clientName(c *node.ConnectionStatus) string {
	v, _ := c.Properties.Get("connection_name")
	name, _ := valueJSON(v).(string)
	return name
}

func hostPort(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(text) // an address has a number there
	return host, port
}

func channelName(c *node.ConnectionStatus, number uint16) string {
	return fmt.Sprintf("%s (%d)", c.Name, number)
}

func channelJSON(c *node.ConnectionStatus, ch *node.ChannelStatus) map[string]any {
	host, port := hostPort(c.Peer)
	m := map[string]any{
		"name": channelName(c, ch.Number), "number": ch.Number, "node": c.Node, "user": c.User, "user_who_performed_action": c.User,
		"vhost": c.VHost, "state": connectionState(c), "consumer_count": len(ch.Consumers), "messages_unacknowledged": ch.Unacked,
		"messages_unconfirmed": ch.Unconfirmed, "messages_uncommitted": 0, "acks_uncommitted": 0, "prefetch_count": ch.Prefetch,
		"global_prefetch_count": ch.GlobalPrefetch, "confirm": ch.Confirms, "transactional": ch.Transactional, "pending_raft_commands": 0,
		"connection_details": map[string]any{"name": c.Name, "peer_host": host, "peer_port": port},
	}
	if name := clientName(c); name != "" {
		m["user_provided_name"] = name
	}
	if st := messageStats(&ch.Counts, &ch.Rates, nil, span{}, channelStats...); st != nil {
		m["message_stats"] = st
	}
	return m
}

// channelRows are the channels of some connections.
func channelRows(connections []node.ConnectionStatus) rows {
	type at struct {
		c  *node.ConnectionStatus
		ch *node.ChannelStatus
	}
	var all []at
	for i := range connections {
		for j := range connections[i].Channels {
			all = append(all, at{&connections[i], &connections[i].Channels[j]})
		}
	}
	return rows{
		n: len(all), name: func(i int) string { return channelName(all[i].c, all[i].ch.Number) }, alias: func(i int) string { return clientName(all[i].c) },
		entry: func(i int, _ map[string]any) map[string]any { return channelJSON(all[i].c, all[i].ch) },
	}
}

func (h *handler) channels(w http.ResponseWriter, r *request) error {
	return h.list(w, r, channelRows(h.seenConnections(w, r)))
}

func (h *handler) connectionChannels(w http.ResponseWriter, r *request) error {
	c, err := h.findConnection(w, r)
	if err != nil {
		return err
	}
	return h.list(w, r, channelRows([]node.ConnectionStatus{*c}))
}

func (h *handler) channel(w http.ResponseWriter, r *request) error {
	name := param(r, "name")
	for _, c := range h.seenConnections(w, r) {
		for i := range c.Channels {
			if ch := &c.Channels[i]; channelName(&c, ch.Number) == name {
				m := channelJSON(&c, ch)
				m["consumer_details"] = consumersOf(&c, ch, nil)
				m["publishes"], m["deliveries"] = []any{}, []any{}
				return h.one(w, r, m)
			}
		}
	}
	return fault.New(fault.NotFound, "no channel '%s'", name)
}

// consumersOf returns the consumers of a channel, those of some queues only unless of is
// nil.
func consumersOf(c *node.ConnectionStatus, ch *node.ChannelStatus, of map[uint64]*node.QueueStatus) []map[string]any {
	host, port := hostPort(c.Peer)
	list := []map[string]any{}
	for _, x := range ch.Consumers {
		q := of[x.QueueID]
		if of != nil && q == nil {
			continue
		}
		status, active := "up", true
		if q != nil && q.Active.ID != 0 && (q.Active.ID != x.ID || q.Active.Origin.Replica != x.Replica) {
			status, active = "waiting", false
		}
		list = append(list, map[string]any{
			"consumer_tag": x.Tag, "queue": map[string]any{"name": x.Queue, "vhost": c.VHost}, "ack_required": !x.NoAck,
			"exclusive": x.Exclusive, "prefetch_count": x.Prefetch, "active": active, "activity_status": status,
			"arguments": tableJSON(x.Args.Table), "consumer_timeout": x.Timeout.Milliseconds(), "priority": x.Priority,
			"messages_unacknowledged": x.Unacked,
			"channel_details": map[string]any{
				"name": channelName(c, ch.Number), "number": ch.Number, "connection_name": c.Name, "node": c.Node,
				"peer_host": host, "peer_port": port, "user": c.User,
			},
		})
	}
	return list
}

// consumerList returns the consumers of some queues.
func (h *handler) consumerList(w http.ResponseWriter, r *request, queues []*node.QueueStatus) []map[string]any {
	of := make(map[uint64]*node.QueueStatus, len(queues))
	for i := range queues {
		of[queues[i].ID] = queues[i]
	}
	list := []map[string]any{}
	for _, c := range h.allConnections(w, r) {
		for i := range c.Channels {
			if len(c.Channels[i].Consumers) > 0 {
				list = append(list, consumersOf(&c, &c.Channels[i], of)...)
			}
		}
	}
	return list
}

func (h *handler) consumers(w http.ResponseWriter, r *request) error {
	list := h.consumerList(w, r, h.seenQueues(w, r, false))
	return h.list(w, r, rows{
		n: len(list), name: func(i int) string { s, _ := list[i]["consumer_tag"].(string); return s }, entry: func(i int, _ map[string]any) map[string]any { return list[i] },
	})
}
