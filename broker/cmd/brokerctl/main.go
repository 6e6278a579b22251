// Command brokerctl operates a Warren cluster, after rabbitmqctl.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

type cli struct {
	Node     string   `short:"n" help:"Node to ask: a name from --nodes, or host:port of its management API. Default: the first that answers." env:"WARREN_NODE"`
	Nodes    []string `help:"Nodes that names stand for: name=host:port of the management API." default:"broker-1=127.0.0.1:15672,broker-2=127.0.0.1:15673,broker-3=127.0.0.1:15674" env:"WARREN_NODES" sep:","`
	User     string   `help:"User." default:"guest" env:"WARREN_USER"`
	Password string   `help:"Password." default:"guest" env:"WARREN_PASSWORD"`
	Quiet    bool     `short:"q" help:"Print no headings."`
	VHost    string   `short:"p" name:"vhost" help:"Virtual host." default:"/"`

	ClusterStatus clusterStatusCmd `cmd:"" name:"cluster_status" help:"Show the nodes of the cluster."`
	ListQueues    listQueuesCmd    `cmd:"" name:"list_queues" help:"List queues; columns may be named."`
	ListPolicies  listPoliciesCmd  `cmd:"" name:"list_policies" help:"List policies."`
	SetPolicy     setPolicyCmd     `cmd:"" name:"set_policy" help:"Set a policy: NAME PATTERN DEFINITION."`
	ClearPolicy   clearPolicyCmd   `cmd:"" name:"clear_policy" help:"Remove a policy."`
	JoinCluster   joinClusterCmd   `cmd:"" name:"join_cluster" help:"Move the node to the cluster of another node; its own data are given up."`
	AwaitStartup  awaitStartupCmd  `cmd:"" name:"await_startup" help:"Wait until the node can serve clients."`
}

// session is what a command works with.
type session struct {
	ctx    context.Context //nolint:containedctx // lives as long as one command
	client *client
	out    io.Writer
	quiet  bool
	vhost  string
}

// heading prints what a list is, as rabbitmqctl does.
func (s *session) heading(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintf(s.out, format+"\n", args...)
	}
}

// errUsage marks what the caller can mend in the command line.
var errUsage = errors.New("usage")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited, status := false, 0
	parser, err := kong.New(&c, kong.Name("brokerctl"), kong.Description("Operates a Warren cluster."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited, status = true, code }))
	if err != nil {
		fmt.Fprintln(stderr, "brokerctl:", err)
		return exitFailed
	}
	k, err := parser.Parse(args)
	if exited {
		return status
	}
	if err != nil {
		fmt.Fprintln(stderr, "brokerctl:", err)
		return exitUsage
	}
	cl, err := newClient(&c)
	if err == nil {
		err = k.Run(&session{ctx: ctx, client: cl, out: stdout, quiet: c.Quiet, vhost: c.VHost})
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "brokerctl:", strings.TrimPrefix(err.Error(), "usage: "))
		return exitUsage
	case err != nil:
		fmt.Fprintln(stderr, "brokerctl:", err)
		return exitFailed
	}
	return 0
}
