//go:build wasip1

// Command guest is what runs on the machines of package sim: a broker node, or clients.
// Its one argument is a sim.Task as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/warren-mq/warren/broker"
	"github.com/warren-mq/warren/broker/internal/sim/task"
	"github.com/warren-mq/warren/broker/internal/storage"
)

func main() {
	var t task.Task
	err := json.Unmarshal([]byte(os.Args[1]), &t)
	switch {
	case err != nil:
	case t.Node != nil:
		err = runNode(t.Node)
	case t.Clients != nil:
		err = runClients(t.Clients)
	case t.Audit != nil:
		err = runAudit(t.Audit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ended:", err)
		os.Exit(1)
	}
}

func runNode(t *task.Node) error {
	d, err := openDisk()
	if err != nil {
		return err
	}
	cfg := broker.Config{
		Name: t.Name, DataDir: ".", Listen: t.Addr + task.PortAMQP, HTTPListen: t.Addr + task.PortHTTP, PeerListen: t.Addr + task.PortPeer,
		Peers: t.Peers, Secret: "s", GuestRemote: true, GroupsPerNode: t.GroupsPerNode,
		SegmentBytes: t.SegmentBytes, MemtableBytes: t.MemtableBytes,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{
			Level: slog.LevelDebug,
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey || a.Key == "node" {
					return slog.Attr{}
				}
				return a
			},
		})),
	}
	cfg.OverFS(func(storage.FS) storage.FS { return d })
	cfg.OverNetwork(network{})
	n, err := broker.New(cfg)
	if err != nil {
		return err
	}
	return n.Run(context.Background())
}
