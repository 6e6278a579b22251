package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/warren-mq/warren/broker/internal/process"
)

// rabbitPrograms is where packages put RabbitMQ's programs; those on the path change the
// user, who may not read our files.
const rabbitPrograms = "/usr/lib/rabbitmq/bin"

// rabbitNode is one node's environment.
type rabbitNode struct {
	name string
	env  []string
}

func (n *rabbitNode) ctl(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(rabbitPrograms, "rabbitmqctl"), append([]string{"-q", "-n", n.name}, args...)...)
	cmd.Env = append(os.Environ(), n.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, lastLine(out))
	}
	return nil
}

// startRabbit starts an installed RabbitMQ's cluster.
func startRabbit(ctx context.Context, dir, bin string) (*cluster, error) {
	if _, err := os.Stat(filepath.Join(rabbitPrograms, "rabbitmq-server")); err != nil {
		return nil, fmt.Errorf("%w: %w", errMissing, err)
	}
	c, err := newCluster(rabbitMQ, dir)
	if err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(2 * nodeCount)
	if err != nil {
		return nil, err
	}
	c.amqp = ports[:nodeCount]
	for path, content := range map[string]string{"plugins": "[].", ".erlang.cookie": "versus"} {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o400); err != nil {
			return nil, err
		}
	}
	if err := c.formRabbit(ctx, ports[nodeCount:]); err != nil {
		c.stop()
		return nil, err
	}
	if err := c.proxy(ctx, bin, nil); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// formRabbit starts the nodes and joins them.
func (c *cluster) formRabbit(ctx context.Context, dist []string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var nodes []*rabbitNode
	for i := range nodeCount {
		// Other nodes may run on this machine: the name must be nobody else's.
		n := &rabbitNode{name: fmt.Sprintf("versus%s@localhost", port(c.amqp[i]))}
		k := strconv.Itoa(i + 1)
		n.env = []string{
			"HOME=" + c.dir, "RABBITMQ_USE_LONGNAME=false", "RABBITMQ_NODENAME=" + n.name, "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			"RABBITMQ_NODE_PORT=" + port(c.amqp[i]), "RABBITMQ_DIST_PORT=" + port(dist[i]),
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(c.dir, "plugins"), "RABBITMQ_PID_FILE=" + filepath.Join(c.dir, "pid"+k),
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(c.dir, "data"+k), "RABBITMQ_LOG_BASE=" + filepath.Join(c.dir, "log"+k),
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		}
		cmd, err := c.spawn("node"+k, n.env, filepath.Join(rabbitPrograms, "rabbitmq-server"))
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, cmd)
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		if err := await(ctx, func(ctx context.Context) error { return n.ctl(ctx, "await_startup", "-t", "5") }); err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		for _, args := range [][]string{{"stop_app"}, {"reset"}, {"join_cluster", nodes[0].name}, {"start_app"}} {
			if err := n.ctl(ctx, args...); err != nil {
				return err
			}
		}
	}
	return nil
}
