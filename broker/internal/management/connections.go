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
		{http.MethodGet, "/api/vhosts/{vhost}/connections", anyUser, h.connections},
		{http.MethodGet, "/api/connections/{name}", anyUser, h.connection},
		{http.MethodDelete, "/api/connections/{name}", anyUser, h.closeConnection},
		{http.MethodGet, "/api/connections/{name}/channels", anyUser, h.connectionChannels},
		{http.MethodGet, "/api/channels", anyUser, h.channels},
		{http.MethodGet, "/api/channels/{name}", anyUser, h.channel},
	}
}

// closedByAPI is the reason that clients read when the request gives none.
const closedByAPI = "Closed via management plugin"

// seenConnections returns those that the user may see: who watches over all sees all.
func (h *handler) seenConnections(r *request) []node.ConnectionStatus {
	var list []node.ConnectionStatus
	for _, c := range h.b.Node().Connections(r.Context()) {
		user, vhost := param(r, "user"), param(r, "vhost")
		mine := c.User == r.user.Name || r.user.HasTag(monitor.tags...)
		if mine && (user == "" || user == c.User) && (vhost == "" || vhost == c.VHost) {
			list = append(list, c)
		}
	}
	return list
}

func (h *handler) findConnection(r *request) (*node.ConnectionStatus, error) {
	name := param(r, "name")
	for _, c := range h.seenConnections(r) {
		if c.Name == name {
			return &c, nil
		}
	}
	return nil, fault.New(fault.NotFound, "no connection '%s'", name)
}

func (h *handler) connections(w http.ResponseWriter, r *request) error {
	list := []map[string]any{}
	for _, c := range h.seenConnections(r) {
		list = append(list, connectionJSON(&c))
	}
	write(w, http.StatusOK, list)
	return nil
}

func (h *handler) connection(w http.ResponseWriter, r *request) error {
	c, err := h.findConnection(r)
	if err == nil {
		write(w, http.StatusOK, connectionJSON(c))
	}
	return err
}

func (h *handler) closeConnection(w http.ResponseWriter, r *request) error {
	c, err := h.findConnection(r)
	if err != nil {
		return err
	}
	reason := r.Header.Get("X-Reason")
	if reason == "" {
		reason = closedByAPI
	}
	h.b.Node().CloseConnections(r.Context(), c.Name, reason)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func connectionJSON(c *node.ConnectionStatus) map[string]any {
	m := map[string]any{
		"name": c.Name, "node": c.Node, "user": c.User, "user_who_performed_action": c.User, "vhost": c.VHost,
		"state": "running", "type": "network", "protocol": "AMQP 0-9-1", "auth_mechanism": c.Mechanism,
		"channels": len(c.Channels), "channel_max": c.ChannelMax, "frame_max": c.FrameMax, "timeout": int(c.Heartbeat / time.Second),
		"client_properties": tableJSON(c.Properties.Table), "connected_at": c.Since.UnixMilli(), "ssl": c.TLS != nil,
		"recv_oct": c.Received, "send_oct": c.Sent, "recv_cnt": c.Reads, "send_cnt": c.Writes, "send_pend": 0,
	}
	m["peer_host"], m["peer_port"] = hostPort(c.Peer)
	m["host"], m["port"] = hostPort(c.Local)
	if v, ok := c.Properties.Get("connection_name"); ok {
		m["user_provided_name"] = valueJSON(v)
	}
	if c.TLS != nil {
		m["ssl_protocol"], m["ssl_cipher"] = c.TLS.Version, c.TLS.Cipher
		if c.TLS.Subject != "" {
			m["peer_cert_subject"], m["peer_cert_issuer"] = c.TLS.Subject, c.TLS.Issuer
		}
	}
	return m
}

func hostPort(addr string) (host string, port int) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.Atoi(text) // an address has a number there
	return host, port
}

// channelList returns the channels of some connections.
func channelList(connections []node.ConnectionStatus) []map[string]any {
	list := []map[string]any{}
	for _, c := range connections {
		host, port := hostPort(c.Peer)
		for _, ch := range c.Channels {
			list = append(list, map[string]any{
				"name": fmt.Sprintf("%s (%d)", c.Name, ch.Number), "number": ch.Number, "node": c.Node, "user": c.User,
				"vhost": c.VHost, "state": "running", "consumer_count": ch.Consumers, "messages_unacknowledged": ch.Unacked,
				"connection_details": map[string]any{"name": c.Name, "peer_host": host, "peer_port": port},
			})
		}
	}
	return list
}

func (h *handler) channels(w http.ResponseWriter, r *request) error {
	write(w, http.StatusOK, channelList(h.seenConnections(r)))
	return nil
}

func (h *handler) connectionChannels(w http.ResponseWriter, r *request) error {
	c, err := h.findConnection(r)
	if err == nil {
		write(w, http.StatusOK, channelList([]node.ConnectionStatus{*c}))
	}
	return err
}

func (h *handler) channel(w http.ResponseWriter, r *request) error {
	for _, c := range channelList(h.seenConnections(r)) {
		if c["name"] == param(r, "name") {
			write(w, http.StatusOK, c)
			return nil
		}
	}
	return fault.New(fault.NotFound, "no channel '%s'", param(r, "name"))
}
