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

	ClusterStatus        clusterStatusCmd        `cmd:"" name:"cluster_status" help:"Show the nodes of the cluster."`
	ListQueues           listQueuesCmd           `cmd:"" name:"list_queues" help:"List queues; columns may be named."`
	ListPolicies         listPoliciesCmd         `cmd:"" name:"list_policies" help:"List policies."`
	SetPolicy            setPolicyCmd            `cmd:"" name:"set_policy" help:"Set a policy: NAME PATTERN DEFINITION."`
	ClearPolicy          clearPolicyCmd          `cmd:"" name:"clear_policy" help:"Remove a policy."`
	ListOperatorPolicies listOperatorPoliciesCmd `cmd:"" name:"list_operator_policies" help:"List the operator's policies."`
	SetOperatorPolicy    setOperatorPolicyCmd    `cmd:"" name:"set_operator_policy" help:"Set a policy of the operator: NAME PATTERN DEFINITION."`
	ClearOperatorPolicy  clearOperatorPolicyCmd  `cmd:"" name:"clear_operator_policy" help:"Remove one."`

	AddUser          addUserCmd          `cmd:"" name:"add_user" help:"Add a user: NAME PASSWORD."`
	DeleteUser       deleteUserCmd       `cmd:"" name:"delete_user" help:"Delete a user, and close the user's connections."`
	ChangePassword   changePasswordCmd   `cmd:"" name:"change_password" help:"Change a user's password: NAME PASSWORD."`
	ClearPassword    clearPasswordCmd    `cmd:"" name:"clear_password" help:"Take a user's password away: only a certificate lets the user in then."`
	AuthenticateUser authenticateUserCmd `cmd:"" name:"authenticate_user" help:"Try a user's password: NAME PASSWORD."`
	SetUserTags      setUserTagsCmd      `cmd:"" name:"set_user_tags" help:"Replace a user's tags: NAME [TAG...]."`
	ListUsers        listUsersCmd        `cmd:"" name:"list_users" help:"List users."`

	AddVHost    addVHostCmd    `cmd:"" name:"add_vhost" help:"Add a virtual host."`
	DeleteVHost deleteVHostCmd `cmd:"" name:"delete_vhost" help:"Delete a virtual host with all that is in it."`
	ListVHosts  listVHostsCmd  `cmd:"" name:"list_vhosts" help:"List virtual hosts; columns may be named."`

	SetPermissions        setPermissionsCmd        `cmd:"" name:"set_permissions" help:"Set a user's patterns: USER CONFIGURE WRITE READ."`
	ClearPermissions      clearPermissionsCmd      `cmd:"" name:"clear_permissions" help:"Remove a user's permissions."`
	ListPermissions       listPermissionsCmd       `cmd:"" name:"list_permissions" help:"List permissions in the virtual host."`
	ListUserPermissions   listUserPermissionsCmd   `cmd:"" name:"list_user_permissions" help:"List a user's permissions."`
	SetTopicPermissions   setTopicPermissionsCmd   `cmd:"" name:"set_topic_permissions" help:"Set a user's patterns for routing keys: USER EXCHANGE WRITE READ."`
	ClearTopicPermissions clearTopicPermissionsCmd `cmd:"" name:"clear_topic_permissions" help:"Remove them: USER [EXCHANGE]."`
	ListTopicPermissions  listTopicPermissionsCmd  `cmd:"" name:"list_topic_permissions" help:"List topic permissions in the virtual host."`

	SetVHostLimits   setVHostLimitsCmd   `cmd:"" name:"set_vhost_limits" help:"Set limits of the virtual host: JSON with max-connections, max-queues."`
	ClearVHostLimits clearVHostLimitsCmd `cmd:"" name:"clear_vhost_limits" help:"Remove all limits of the virtual host."`
	ListVHostLimits  listVHostLimitsCmd  `cmd:"" name:"list_vhost_limits" help:"List limits of virtual hosts."`
	SetUserLimits    setUserLimitsCmd    `cmd:"" name:"set_user_limits" help:"Set limits of a user: USER JSON with max-connections, max-channels."`
	ClearUserLimits  clearUserLimitsCmd  `cmd:"" name:"clear_user_limits" help:"Remove a limit of a user: USER LIMIT, or all."`
	ListUserLimits   listUserLimitsCmd   `cmd:"" name:"list_user_limits" help:"List limits of users."`

	ListConnections listConnectionsCmd `cmd:"" name:"list_connections" help:"List client connections; columns may be named."`
	CloseConnection closeConnectionCmd `cmd:"" name:"close_connection" help:"Close a client connection: NAME REASON."`

	JoinCluster  joinClusterCmd  `cmd:"" name:"join_cluster" help:"Move the node to the cluster of another node; its own data are given up."`
	Forget       forgetCmd       `cmd:"" name:"forget_cluster_node" help:"Remove a node from the cluster for good: NODE. Queues that only it had are lost."`
	Drain        drainCmd        `cmd:"" name:"drain" help:"Put a node into maintenance: its leaderships and its clients go to others. NODE, or the one that -n names."`
	Revive       reviveCmd       `cmd:"" name:"revive" help:"End the maintenance of a node."`
	Grow         growCmd         `cmd:"" name:"grow" help:"Give a node its share of the replicated queues: NODE."`
	Shrink       shrinkCmd       `cmd:"" name:"shrink" help:"Give the replicated queues of a node to others: NODE."`
	Rebalance    rebalanceCmd    `cmd:"" name:"rebalance" help:"Spread the leaders of replicated queues now: all, classic or quorum."`
	QuorumStatus quorumStatusCmd `cmd:"" name:"quorum_status" help:"Show how a replicated queue stands with its members: QUEUE."`
	AwaitStartup awaitStartupCmd `cmd:"" name:"await_startup" help:"Wait until the node can serve clients."`
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
