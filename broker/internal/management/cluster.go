package management

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/warren-mq/warren/broker/internal/fault"
)

// setLimits changes the limits behind this node's alarms.
func (h *handler) setLimits(w http.ResponseWriter, r *request) error {
	var body struct {
		Memory *uint64  `json:"memory"`
		Share  *float64 `json:"memory_share"`
		Disk   *uint64  `json:"disk_free"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	m := h.b.Node().Machine()
	memory, disk := m.MemoryLimit, m.DiskLimit
	switch {
	case body.Memory != nil && body.Share == nil:
		memory = *body.Memory
	case body.Share != nil && body.Memory == nil && *body.Share > 0 && *body.Share <= 1:
		total, err := h.b.Node().MemoryTotal()
		if err != nil {
			return fault.New(fault.PreconditionFailed, "how much memory there is %v: say it in bytes", err)
		}
		memory = uint64(*body.Share * float64(total))
	case body.Disk == nil || body.Share != nil:
		return fault.New(fault.PreconditionFailed, "say memory (bytes) or memory_share (above 0, up to 1), or disk_free (bytes)")
	}
	if body.Disk != nil {
		disk = *body.Disk
	}
	h.b.SetLimits(memory, disk)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// stop stops this node in order.
func (h *handler) stop(w http.ResponseWriter, _ *request) error {
	w.WriteHeader(http.StatusAccepted)
	h.b.Stop()
	return nil
}

// forget removes a node from the cluster; ?force=true also one that runs.
func (h *handler) forget(w http.ResponseWriter, r *request) error {
	if err := h.b.Node().Forget(r.Context(), param(r, "node"), r.URL.Query().Get("force") == "true"); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// drain puts a node into maintenance (PUT), or ends that (DELETE).
func (h *handler) drain(w http.ResponseWriter, r *request) error {
	if err := h.b.Node().Drain(r.Context(), param(r, "node"), r.Method == http.MethodPut); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// join moves the node to another cluster.
func (h *handler) join(w http.ResponseWriter, r *request) error {
	var body struct {
		Peer  string `json:"peer"`
		Force bool   `json:"force"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Peer == "" {
		return fault.New(fault.PreconditionFailed, "key peer is missing: the peer address of a member of the cluster to join")
	}
	if err := h.b.JoinCluster(body.Peer, body.Force); err != nil {
		return fault.New(fault.PreconditionFailed, "%v", err)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// levelNone is above all levels that something is logged with.
const levelNone = slog.LevelError + 100

// logLevels are RabbitMQ's words for levels.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "notice": slog.LevelInfo, "warning": slog.LevelWarn, "warn": slog.LevelWarn,
	"error": slog.LevelError, "critical": slog.LevelError, "alert": slog.LevelError, "emergency": slog.LevelError, "none": levelNone,
}

func (h *handler) logLevel(w http.ResponseWriter, _ *request) error {
	level, err := h.levelVar()
	if err != nil {
		return err
	}
	name := strings.ToLower(level.Level().String())
	if level.Level() == levelNone {
		name = "none"
	}
	write(w, http.StatusOK, map[string]string{"level": name})
	return nil
}

func (h *handler) levelVar() (*slog.LevelVar, error) {
	if level := h.b.LogLevel(); level != nil {
		return level, nil
	}
	return nil, fault.New(fault.PreconditionFailed, "this node is a part of another program, which says what is logged")
}

// setLogLevel changes the least level that this node logs, until it is started again.
func (h *handler) setLogLevel(w http.ResponseWriter, r *request) error {
	var body struct {
		Level string `json:"level"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	to, known := logLevels[strings.ToLower(body.Level)]
	if !known {
		return fault.New(fault.PreconditionFailed, "level is %q; there are %s", body.Level, strings.Join(slices.Sorted(maps.Keys(logLevels)), ", "))
	}
	level, err := h.levelVar()
	if err != nil {
		return err
	}
	level.Set(to)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
