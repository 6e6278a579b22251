package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/warren-mq/warren/broker/internal/process"
	"github.com/warren-mq/warren/libs/rabbitmq"
)

// startRabbit starts an installed RabbitMQ's cluster.
func startRabbit(ctx context.Context, dir, bin string) (_ *cluster, err error) {
	if err := rabbitmq.Installed(); err != nil {
		return nil, err
	}
	c, err := newCluster(rabbitMQ, dir)
	if err != nil {
		return nil, err
	}
	ports, err := process.FreePorts(2*nodeCount + 1)
	if err != nil {
		return nil, err
	}
	r := &rabbitmq.Cluster{Dir: dir, EPMD: ports[2*nodeCount]}
	c.close = r.Close
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	c.amqp = ports[:nodeCount]
	for i := range nodeCount {
		r.Nodes = append(r.Nodes, rabbitmq.Node{Name: "node" + strconv.Itoa(i+1), AMQP: c.amqp[i], Peer: ports[nodeCount+i]})
	}
	for i, n := range r.Nodes {
		if err := r.Write(i); err != nil {
			return nil, err
		}
		cmd, err := c.spawn(n.Name, r.Env(i), r.Server())
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, cmd)
	}
	for i := range r.Nodes {
		if err := await(ctx, func(ctx context.Context) error {
			_, err := r.Ctl(ctx, i, "await_startup", "-t", "5")
			return err
		}); err != nil {
			return nil, err
		}
	}
	if err := await(ctx, func(ctx context.Context) error {
		_, err := r.Ctl(ctx, 0, "await_online_nodes", "-t", "5", strconv.Itoa(nodeCount))
		return err
	}); err != nil {
		return nil, err
	}
	return c, c.proxy(ctx, bin, nil)
}
