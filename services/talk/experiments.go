package main

import (
	"context"
)

// experiment is what the talk does on some slides. Its run says in the words of want what was seen.
type experiment struct {
	slides, what string
	want         string
	wantRabbitMQ string // where RabbitMQ differs by nature
	run          func(ctx context.Context, s *stage) (seen string, err error)
}

// experiments are in the order of the talk. Each finds three nodes that run; the first makes them a cluster, with Queue1.
var experiments = []*experiment{
	{
		slides: "9, 10", what: "join_cluster, cluster_status, list_queues on each node",
		want: "3 nodes run; each lists Queue1 Queue2 Queue3", run: joinCluster,
	},
	{
		slides: "11, 12", what: "unmirrored queue; publish 5 to 5673; stop a node that does not hold it; consume on another",
		want: "gets 5", run: stopAnotherNode,
	},
	{
		slides: "11, 12", what: "the same; stop the node that holds it",
		want: "404 until the node is back; then gets 5", run: stopHome,
	},
	{
		slides: "13, 14", what: `set_policy ha-all "^Queue1$" {"ha-mode":"all"} on the live queue`,
		want: "policy ha-all; pid and 2 slave_pids; 5 messages", run: mirror,
	},
	{
		slides: "15", what: "stop the leader; start it again",
		want: "the next leads, with 5; who joins later gets everything", wantRabbitMQ: "the next leads, with 5; who joins later gets only what is new", run: stopLeader,
	},
	{
		slides: "16", what: "mirrored queue; kill the master; consume on another node",
		want: "gets 5", run: killLeader,
	},
	{
		slides: "19", what: "consumer connected to a node that dies",
		want: "connection failed", run: direct,
	},
	{
		slides: "17–20", what: "consumer connected through the proxy; its node dies",
		want: "reconnects by itself; gets 10 of 10", run: throughProxy,
	},
	{
		slides: "21", what: "the proxy's statistics page; stop a node; start it again",
		want: "UP UP UP; UP DOWN UP; UP UP UP", run: statistics,
	},
	{
		slides: "22–27", what: "an order goes through the queues",
		want: "delivered; one trace, parents right; in the log lines of 4 services", run: order,
	},
}
