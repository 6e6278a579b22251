package management

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/fault"
	"github.com/warren-mq/warren/broker/internal/message"
	"github.com/warren-mq/warren/broker/internal/node"
)

func (h *handler) healthRoutes() []route {
	checks := "/api/health/checks/"
	return []route{
		{http.MethodGet, "/api/aliveness-test/{vhost}", anyUser, h.aliveness},
		{http.MethodGet, "/api/healthchecks/node", anyUser, h.check(h.nodeReady)},
		{http.MethodGet, "/api/healthchecks/node/{node}", anyUser, h.check(h.nodeReady)},
		{http.MethodGet, checks + "alarms", anyUser, h.check(h.noAlarms)},
		{http.MethodGet, checks + "local-alarms", anyUser, h.check(h.noLocalAlarms)},
		{http.MethodGet, checks + "port-listener/{port}", anyUser, h.check(h.portListens)},
		{http.MethodGet, checks + "protocol-listener/{protocol}", anyUser, h.check(h.protocolListens)},
		{http.MethodGet, checks + "virtual-hosts", anyUser, h.check(h.nodeReady)},
		{http.MethodGet, checks + "node-is-mirror-sync-critical", anyUser, h.check(h.notCritical)},
		{http.MethodGet, checks + "node-is-quorum-critical", anyUser, h.check(h.notCritical)},
		{http.MethodGet, checks + "is-in-service", anyUser, h.check(h.nodeReady)},
		{http.MethodGet, checks + "below-node-connection-limit", anyUser, h.check(h.connectionsLeft)},
		{http.MethodGet, checks + "reached-target-cluster-size", anyUser, h.check(h.allRunning)},
		{http.MethodGet, checks + "certificate-expiration/{n}/{unit}", anyUser, h.check(h.certificates)},
		{http.MethodGet, checks + "metadata-store/initialized", anyUser, h.check(h.metadataReady)},
		{http.MethodGet, checks + "metadata-store/initialized/with-data", anyUser, h.check(h.metadataReady)},
		{http.MethodGet, checks + "quorum-queues-without-elected-leaders/all-vhosts", anyUser, h.check(h.allLed)},
		{http.MethodGet, checks + "quorum-queues-without-elected-leaders/vhost/{vhost}", anyUser, h.check(h.allLed)},
		{http.MethodGet, checks + "quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}", anyUser, h.check(h.allLed)},
	}
}

// check answers 200 if a check finds nothing, else 503 with what it found; more is what
// else there is to tell.
func (h *handler) check(f func(*request) (reason string, more map[string]any, err error)) func(http.ResponseWriter, *request) error {
	return func(w http.ResponseWriter, r *request) error {
		reason, more, err := f(r)
		if err != nil {
			return err
		}
		status, m := http.StatusOK, map[string]any{"status": "ok"}
		maps.Copy(m, more)
		if reason != "" {
			status, m["status"], m["reason"] = http.StatusServiceUnavailable, "failed", reason
		}
		write(w, status, m)
		return nil
	}
}

func (h *handler) nodeReady(*request) (string, map[string]any, error) {
	if err := h.b.Node().Ready(); err != nil {
		return err.Error(), nil, nil
	}
	return "", nil, nil
}

// connectionsLeft finds a node that refuses the next connection.
func (h *handler) connectionsLeft(*request) (string, map[string]any, error) {
	if open := h.b.Node().Machine().Connections; h.connMax > 0 && open >= h.connMax {
		return "node connection limit is reached", map[string]any{"connections": open, "limit": h.connMax}, nil
	}
	return "", nil, nil
}

func (h *handler) alarmsOf(fits func(node.NodeStatus) bool) (string, map[string]any, error) {
	all, alarms, which := h.b.Node().Alarms(), []map[string]any{}, []string{}
	for _, n := range h.b.Node().Nodes() {
		for _, alarm := range []struct {
			kind node.Alarm
			name string
		}{{node.MemoryAlarm, "memory"}, {node.DiskAlarm, "disk"}} {
			if all[n.Replica]&alarm.kind != 0 && fits(n) {
				alarms = append(alarms, map[string]any{"node": n.Name, "resource": alarm.name})
				which = append(which, alarm.name+" of "+n.Name)
			}
		}
	}
	if len(alarms) == 0 {
		return "", nil, nil
	}
	const reason = "There are alarms in effect in the cluster"
	return reason, map[string]any{"alarms": alarms, "detail": reason + ": " + strings.Join(which, ", ")}, nil
}

func (h *handler) noAlarms(*request) (string, map[string]any, error) {
	return h.alarmsOf(func(node.NodeStatus) bool { return true })
}

func (h *handler) noLocalAlarms(*request) (string, map[string]any, error) {
	return h.alarmsOf(func(n node.NodeStatus) bool { return n.Name == h.b.Node().Name() })
}

// ports are where this node listens, by protocol.
func (h *handler) ports() map[string]int {
	ports := map[string]int{}
	for _, n := range h.b.Node().Nodes() {
		if n.Name == h.b.Node().Name() {
			for protocol, addr := range map[string]string{"amqp": n.AMQP, "clustering": n.Peer, "http": n.Management} {
				_, ports[protocol] = hostPort(addr)
			}
		}
	}
	return ports
}

func (h *handler) portListens(r *request) (string, map[string]any, error) {
	port, err := strconv.Atoi(param(r, "port"))
	if err != nil || port < 1 || port > 65535 {
		return "", nil, fault.New(fault.PreconditionFailed, "port %q is no number from 1 to 65535", param(r, "port"))
	}
	all := slices.Sorted(maps.Values(h.ports()))
	if slices.Contains(all, port) {
		return "", map[string]any{"port": port}, nil
	}
	return "No active listener", map[string]any{"missing": port, "ports": all}, nil
}

// protocolAliases are the other names that tools know.
var protocolAliases = map[string]string{"amqp091": "amqp", "amqp0.9.1": "amqp", "amqp0-9-1": "amqp", "amqp10": "amqp 1.0", "management": "http"}

func (h *handler) protocolListens(r *request) (string, map[string]any, error) {
	name := strings.ToLower(param(r, "protocol"))
	if alias := protocolAliases[name]; alias != "" {
		name = alias
	}
	ports := h.ports()
	if _, ok := ports[name]; ok {
		return "", map[string]any{"protocol": name}, nil
	}
	return "No active listener", map[string]any{"missing": name, "protocols": slices.Sorted(maps.Keys(ports))}, nil
}

func (h *handler) allRunning(*request) (string, map[string]any, error) {
	for _, n := range h.b.Node().Nodes() {
		if !n.Running {
			return "node " + n.Name + " is down", nil, nil
		}
	}
	return "", nil, nil
}

func (h *handler) metadataReady(*request) (string, map[string]any, error) {
	if h.b.Node().ClusterID() == "" {
		return "the node belongs to no cluster yet", nil, nil
	}
	return "", nil, nil
}

// notCritical finds queues that would lose their majority without this node.
func (h *handler) notCritical(r *request) (string, map[string]any, error) {
	self, queues := h.b.Node().Name(), []map[string]any{}
	for _, q := range h.allQueues(discard{}, r, false) {
		if q.Group != 0 && len(q.Members) > 1 && slices.Contains(q.Online, self) && len(q.Online)-1 <= len(q.Members)/2 {
			queues = append(queues, map[string]any{"name": q.Name, "virtual_host": q.VHost, "readable_name": fmt.Sprintf("queue '%s' in vhost '%s'", q.Name, q.VHost), "type": q.Type})
		}
	}
	if len(queues) == 0 {
		return "", nil, nil
	}
	return "There are quorum queues that would lose their quorum if the target node is shut down", map[string]any{"queues": queues}, nil
}

func (h *handler) allLed(r *request) (string, map[string]any, error) {
	vhost, fits := param(r, "vhost"), func(string) bool { return true }
	if p := param(r, "pattern"); p != "" {
		l, err := parseListing(map[string][]string{"name": {p}, "use_regex": {"true"}})
		if err != nil {
			return "", nil, err
		}
		fits = l.fits
	}
	queues := []map[string]any{}
	for _, q := range h.allQueues(discard{}, r, false) {
		if q.Group != 0 && q.State == "down" && (vhost == "" || vhost == q.VHost) && fits(q.Name) {
			queues = append(queues, map[string]any{"name": q.Name, "virtual_host": q.VHost, "type": q.Type})
		}
	}
	if len(queues) == 0 {
		return "", nil, nil
	}
	return "There are quorum queues without a leader", map[string]any{"queues": queues}, nil
}

// discard takes an answer's headers that nobody wants.
type discard struct{ http.ResponseWriter }

// Header implements http.ResponseWriter.
func (discard) Header() http.Header { return http.Header{} }

// units of certificate-expiration.
var units = map[string]time.Duration{"days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour, "months": 30 * 24 * time.Hour, "years": 365 * 24 * time.Hour}

func (h *handler) certificates(r *request) (string, map[string]any, error) {
	n, err := strconv.Atoi(param(r, "n"))
	unit, known := units[strings.TrimSuffix(param(r, "unit"), "s")+"s"]
	if err != nil || n < 1 || n > 1000 || !known {
		return "", nil, fault.New(fault.PreconditionFailed, "%s/%s is no number from 1 to 1000 of days, weeks, months or years", param(r, "n"), param(r, "unit"))
	}
	end := h.b.CertificateEnd()
	if end.IsZero() || time.Until(end) > time.Duration(n)*unit {
		return "", nil, nil
	}
	return "Certificates expiring", map[string]any{"expired": []map[string]any{{
		"node": h.b.Node().Name(), "protocol": "amqp/ssl", "expires_on": end.UTC().Format(time.RFC3339),
	}}}, nil
}

// alivenessQueue is the queue that the test uses.
const alivenessQueue = "aliveness-test"

// aliveness declares a queue, publishes to it and gets the message back.
func (h *handler) aliveness(w http.ResponseWriter, r *request) error {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	r.changesNothing = true
	err := h.act(r, func(a *node.Actor) error {
		if _, err := a.QueueDeclare(ctx, node.QueueSpec{Name: alivenessQueue}, false); err != nil {
			return err
		}
		m := &message.Message{RoutingKey: alivenessQueue, Properties: message.Properties{}.Append(nil), Body: []byte("test_message")}
		if _, err := a.PublishNow(ctx, m); err != nil {
			return err
		}
		_, _, _, found, err := a.Get(ctx, alivenessQueue, true)
		if err == nil && !found {
			err = fault.New(fault.Unavailable, "queue '%s' gave no message back", alivenessQueue)
		}
		return err
	})
	if err == nil {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	}
	return err
}

const checkTimeout = 10 * time.Second
