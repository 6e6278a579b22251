// Package rabbitmq describes nodes of an installed RabbitMQ that run as local processes, for programs that compare with it or
// are tried on it. It writes their files and says how they are run; whoever uses it starts and ends the processes.
//
// The nodes of a cluster find each other through a port mapper (epmd) of their own, so that nothing is shared with another
// RabbitMQ of the machine; the first node starts it, Cluster.Close ends it.
package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programs is where packages put RabbitMQ's programs. Those on the path change the user, who may not read our files.
const programs = "/usr/lib/rabbitmq/bin"

// Emulator is the name of the program that a node is in the end: the server's script replaces itself.
const Emulator = "beam.smp"

// ErrNotInstalled says that there is no RabbitMQ on this machine.
var ErrNotInstalled = errors.New("RabbitMQ is not installed")

// Installed returns ErrNotInstalled, with the reason, unless RabbitMQ can be run here.
func Installed() error {
	if _, err := os.Stat(filepath.Join(programs, "rabbitmq-server")); err != nil {
		return fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	return nil
}

// Cluster is nodes on this machine that are, or shall be, one.
type Cluster struct {
	Dir  string // for all that the nodes write
	EPMD string // address that their port mapper listens on, on 127.0.0.1
	// Alone lets each node begin as a cluster of its own; join_cluster unites them.
	Alone bool
	Nodes []Node
}

// Node is where a node listens. Addresses are of 127.0.0.1.
type Node struct {
	Name       string // without a host
	AMQP, Peer string
	Management string // "" for none
}

// host is the part of the nodes' full names that follows the @.
const host = "localhost"

// Server is the program that a node is run by.
func (c *Cluster) Server() string { return filepath.Join(programs, "rabbitmq-server") }

// FullName is how node i, from 0, is called by the others.
func (c *Cluster) FullName(i int) string { return c.Nodes[i].Name + "@" + host }

// ShortName is the Name of a node that RabbitMQ calls by its full name.
func ShortName(full string) string { return strings.TrimSuffix(full, "@"+host) }

// Env is the environment that node i and its tools need.
func (c *Cluster) Env(i int) []string {
	n := c.Nodes[i]
	dir := filepath.Join(c.Dir, n.Name)
	return []string{
		"HOME=" + c.Dir, "RABBITMQ_USE_LONGNAME=false", "RABBITMQ_NODENAME=" + c.FullName(i), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + port(n.AMQP), "RABBITMQ_DIST_PORT=" + port(n.Peer), "ERL_EPMD_PORT=" + port(c.EPMD), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"), "RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
		"ERL_CRASH_DUMP=" + filepath.Join(dir, "erl_crash.dump"), // else where the program that starts it happens to be
		// The script becomes the server, whose signals are ours then, and its input stays closed nevertheless.
		"RABBITMQ_ALLOW_INPUT=true", erlArgs + "-noinput " + dist,
	}
}

const (
	erlArgs = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="
	dist    = "-kernel inet_dist_use_interface {127,0,0,1}"
)

// MemoryAlarm replaces part of Env: the node has so many bytes of memory until it raises its alarm.
func MemoryAlarm(bytes int) string {
	return fmt.Sprintf("%s-noinput %s -rabbit vm_memory_high_watermark {absolute,%d}", erlArgs, dist, bytes)
}

// How often and how long a node looks for the first one before it begins alone.
const (
	joinRetries  = 240
	joinInterval = 500 * time.Millisecond
)

// Write writes the files that node i is started with, unless an earlier start has.
func (c *Cluster) Write(i int) error {
	n := c.Nodes[i]
	dir := filepath.Join(c.Dir, n.Name)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	plugins, conf := "[].\n", "log.console = true\nlog.console.use_colors = off\n"
	if n.Management != "" {
		plugins = "[rabbitmq_management].\n"
		// What is asked for shall be as of now, or nearly.
		conf += "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = " + port(n.Management) + "\ncollect_statistics_interval = 500\n"
	}
	if i > 0 && !c.Alone {
		// The first node waits for nobody, the others wait for it: if each looked for all, some could begin alone.
		conf += fmt.Sprintf("cluster_formation.peer_discovery_backend = classic_config\ncluster_formation.classic_config.nodes.1 = %s\n"+
			"cluster_formation.discovery_retry_limit = %d\ncluster_formation.discovery_retry_interval = %d\n", c.FullName(0), joinRetries, joinInterval.Milliseconds())
	}
	for path, content := range map[string]string{
		filepath.Join(dir, "rabbitmq.conf"): conf, filepath.Join(dir, "plugins"): plugins,
		filepath.Join(c.Dir, ".erlang.cookie"): "local\n",
	} {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o400); err != nil {
			return err
		}
	}
	return nil
}

// Ctl runs rabbitmqctl with node i as its target and returns what it prints. An error ends with what it said last.
func (c *Cluster) Ctl(ctx context.Context, i int, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "rabbitmqctl"), append([]string{"-q", "-n", c.FullName(i)}, args...)...)
	cmd.Env = append(os.Environ(), c.Env(i)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimSpace(string(out) + stderr.String())
		return "", fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, said[max(0, len(said)-saidMax):])
	}
	return string(out), nil
}

const saidMax = 300 // bytes

const closeTimeout = 10 * time.Second

// Close ends the port mapper, when no node runs any more.
func (c *Cluster) Close() error {
	conn, err := net.DialTimeout("tcp", c.EPMD, closeTimeout)
	if err != nil {
		return nil //nolint:nilerr // no node has started it
	}
	_ = conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "epmd", "-port", port(c.EPMD), "-kill").CombinedOutput()
	if err != nil {
		return fmt.Errorf("end the port mapper: %w: %s", err, out)
	}
	return nil
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
