// Command brokerctl operates a Warren cluster, after rabbitmqctl.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/warren-mq/warren/broker/internal/process"
)

func main() {
	process.Main(func(ctx context.Context) int { return run(ctx, os.Args[1:], os.Stdout, os.Stderr) })
}

// Exit statuses.

type cli struct {
	Node      string   `short:"n" help:"Node to ask: a name from --nodes, or host:port of its management API. Default: the first that answers." env:"WARREN_NODE"`
	Nodes     []string `help:"Nodes that names stand for: name=host:port of the management API." default:"broker-1=127.0.0.1:15672,broker-2=127.0.0.1:15673,broker-3=127.0.0.1:15674" env:"WARREN_NODES" sep:","`
	User      string   `help:"User." default:"guest" env:"WARREN_USER"`
	Password  string   `help:"Password." default:"guest" env:"WARREN_PASSWORD"`
	Tls       bool     `help:"The management API has TLS." env:"WARREN_HTTP_TLS"`
	Ca        string   `help:"Certificates of who signs the nodes' certificates, PEM; default: whom this machine trusts." env:"WARREN_TLS_CA" type:"path"`
	Quiet     bool     `short:"q" help:"Print no banners."`
	Silent    bool     `short:"s" help:"Print no banners and no table headers."`
	NoHeaders bool     `name:"no-table-headers" help:"Print no table headers."`
	Formatter string   `help:"How lists are printed: ${enum}." enum:"table,pretty_table,json,csv" default:"table"`
	VHost     string   `short:"p" name:"vhost" help:"Virtual host." default:"/"`

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

	ListExchanges         listExchangesCmd        `cmd:"" name:"list_exchanges" help:"List exchanges; columns may be named."`
	ListBindings          listBindingsCmd         `cmd:"" name:"list_bindings" help:"List bindings; columns may be named."`
	ListConsumers         listConsumersCmd        `cmd:"" name:"list_consumers" help:"List consumers; columns may be named."`
	ListChannels          listChannelsCmd         `cmd:"" name:"list_channels" help:"List channels; columns may be named."`
	ListUnresponsive      listUnresponsiveCmd     `cmd:"" name:"list_unresponsive_queues" help:"List queues whose leader does not answer."`
	ListPoliciesThatMatch policiesThatMatchCmd    `cmd:"" name:"list_policies_that_match" help:"List the policies that apply to a queue."`
	ListFeatureFlags      listFeatureFlagsCmd     `cmd:"" name:"list_feature_flags" help:"List feature flags."`
	ListHashes            listHashesCmd           `cmd:"" name:"list_hashes" help:"List password hashing algorithms."`
	ListParameters        listParametersCmd       `cmd:"" name:"list_parameters" help:"List runtime parameters of the virtual host."`
	SetParameter          setParameterCmd         `cmd:"" name:"set_parameter" help:"Set a runtime parameter: COMPONENT NAME JSON."`
	ClearParameter        clearParameterCmd       `cmd:"" name:"clear_parameter" help:"Remove one: COMPONENT NAME."`
	ListGlobalParameters  listGlobalParametersCmd `cmd:"" name:"list_global_parameters" help:"List global parameters."`
	SetGlobalParameter    setGlobalParameterCmd   `cmd:"" name:"set_global_parameter" help:"Set a global parameter: NAME JSON."`
	ClearGlobalParameter  clearGlobalParameterCmd `cmd:"" name:"clear_global_parameter" help:"Remove one."`
	SetClusterName        setClusterNameCmd       `cmd:"" name:"set_cluster_name" help:"Name the cluster."`

	DeleteQueue     deleteQueueCmd     `cmd:"" name:"delete_queue" help:"Delete a queue."`
	PurgeQueue      purgeQueueCmd      `cmd:"" name:"purge_queue" help:"Remove the messages of a queue that are ready."`
	SyncQueue       syncQueueCmd       `cmd:"" name:"sync_queue" help:"Wait until all members of a replicated queue have caught up."`
	CancelSyncQueue cancelSyncQueueCmd `cmd:"" name:"cancel_sync_queue" help:"Nothing to cancel here: members catch up by themselves."`
	Peek            peekCmd            `cmd:"" name:"peek" help:"Show the message at a position: QUEUE [POSITION]."`
	TraceOn         traceOnCmd         `cmd:"" name:"trace_on" help:"Start the firehose of the virtual host."`
	TraceOff        traceOffCmd        `cmd:"" name:"trace_off" help:"Stop it."`

	ExportDefinitions exportCmd `cmd:"" name:"export_definitions" help:"Write everything that was set up to a file."`
	ImportDefinitions importCmd `cmd:"" name:"import_definitions" help:"Add what a file holds."`

	Ping                  pingCmd                  `cmd:"" name:"ping" help:"See if the node answers."`
	Status                statusCmd                `cmd:"" name:"status" help:"Show what the node uses and where it listens."`
	Version               versionCmd               `cmd:"" name:"version" help:"Show the node's version."`
	Environment           environmentCmd           `cmd:"" name:"environment" help:"Show how the node is set up."`
	Report                reportCmd                `cmd:"" name:"report" help:"Show everything, for those who help."`
	Listeners             listenersCmd             `cmd:"" name:"listeners" help:"Show where the nodes listen."`
	Alarms                alarmsCmd                `cmd:"" name:"alarms" help:"Show the alarms of the cluster."`
	MemoryBreakdown       memoryCmd                `cmd:"" name:"memory_breakdown" help:"Show where the node's memory went."`
	CheckRunning          checkRunningCmd          `cmd:"" name:"check_running" help:"Fail unless the node serves clients."`
	CheckAlarms           checkAlarmsCmd           `cmd:"" name:"check_alarms" help:"Fail if the cluster has an alarm."`
	CheckLocalAlarms      checkLocalAlarmsCmd      `cmd:"" name:"check_local_alarms" help:"Fail if the node has an alarm."`
	CheckVirtualHosts     checkVHostsCmd           `cmd:"" name:"check_virtual_hosts" help:"Fail unless the node serves its virtual hosts."`
	CheckPortListener     checkPortListenerCmd     `cmd:"" name:"check_port_listener" help:"Fail unless the node listens on a port."`
	CheckProtocolListener checkProtocolListenerCmd `cmd:"" name:"check_protocol_listener" help:"Fail unless the node speaks a protocol."`
	CheckPortConnectivity checkPortsCmd            `cmd:"" name:"check_port_connectivity" help:"Connect to all listeners of the cluster."`
	CheckQuorumCritical   checkQuorumCriticalCmd   `cmd:"" name:"check_if_node_is_quorum_critical" aliases:"check_if_node_is_mirror_sync_critical" help:"Fail if queues would lose their majority without the node."`
	AwaitOnlineNodes      awaitNodesCmd            `cmd:"" name:"await_online_nodes" help:"Wait until so many nodes run."`
	AwaitQuorumPlusOne    awaitQuorumCmd           `cmd:"" name:"await_online_quorum_plus_one" help:"Wait until the node can stop without a queue losing its majority."`
	SetMemory             setMemoryCmd             `cmd:"" name:"set_vm_memory_high_watermark" help:"Set the node's memory alarm: a share, or absolute BYTES."`
	SetDisk               setDiskCmd               `cmd:"" name:"set_disk_free_limit" help:"Set the node's disk alarm: BYTES."`
	Stop                  stopCmd                  `cmd:"" name:"stop" aliases:"shutdown" help:"Stop the node that -n names, in order."`
	SetLogLevel           setLogLevelCmd           `cmd:"" name:"set_log_level" help:"Say what the node logs until it is started again: [CATEGORY] LEVEL."`
	ConsumeEvents         consumeEventsCmd         `cmd:"" name:"consume_event_stream" help:"Print what happens in the cluster, one line of JSON each."`
	EnableFeature         enableFeatureCmd         `cmd:"" name:"enable_feature_flag" help:"Turn a feature flag on, which it is."`
	MessageSizes          messageSizesCmd          `cmd:"" name:"message_size_stats" help:"Show how large the messages were."`
	MaybeStuck            maybeStuckCmd            `cmd:"" name:"maybe_stuck" help:"Show what does not answer, or waits for a disk."`
	ForceBoot             noneSuchCmd              `cmd:"" name:"force_boot" hidden:""`
	Rename                noneSuchCmd              `cmd:"" name:"rename_cluster_node" hidden:""`
	RotateLogs            noneSuchCmd              `cmd:"" name:"rotate_logs" hidden:""`
	UpdateNodes           noneSuchCmd              `cmd:"" name:"update_cluster_nodes" hidden:""`
	Reset                 resetCmd                 `cmd:"" name:"reset" aliases:"force_reset" hidden:""`
	Completion            completionCmd            `cmd:"" name:"completion" help:"Print a script that completes commands: bash, zsh or fish."`

	ListConnections         listConnectionsCmd      `cmd:"" name:"list_connections" help:"List client connections; columns may be named."`
	CloseAllConnections     closeAllConnectionsCmd  `cmd:"" name:"close_all_connections" help:"Close all connections to the virtual host: REASON."`
	CloseAllUserConnections closeUserConnectionsCmd `cmd:"" name:"close_all_user_connections" help:"Close all connections of a user: USER REASON."`
	CloseConnection         closeConnectionCmd      `cmd:"" name:"close_connection" help:"Close a client connection: NAME REASON."`

	JoinCluster  joinClusterCmd        `cmd:"" name:"join_cluster" help:"Move the node to the cluster of another node; its own data are given up."`
	Forget       forgetCmd             `cmd:"" name:"forget_cluster_node" help:"Remove a node from the cluster for good: NODE. Queues that only it had are lost."`
	Drain        drainCmd              `cmd:"" name:"drain" aliases:"stop_app" help:"Put a node into maintenance: its leaderships and its clients go to others. NODE, or the one that -n names."`
	Revive       reviveCmd             `cmd:"" name:"revive" aliases:"start_app" help:"End the maintenance of a node."`
	Grow         growCmd               `cmd:"" name:"grow" help:"Give a node its share of the replicated queues: NODE."`
	Shrink       shrinkCmd             `cmd:"" name:"shrink" help:"Give the replicated queues of a node to others: NODE."`
	AddMember    addMemberCmd          `cmd:"" name:"add_member" help:"Let a node hold a replicated queue, and the others of its placement group: QUEUE NODE."`
	DeleteMember deleteMemberCmd       `cmd:"" name:"delete_member" help:"Take a replicated queue from a node: QUEUE NODE."`
	GrowToCount  growToCountCmd        `cmd:"" name:"grow_to_count" help:"Give replicated queues so many members: COUNT."`
	Transfer     transferLeadershipCmd `cmd:"" name:"transfer_leadership" help:"Let another member lead a replicated queue, and its placement group: QUEUE NODE. It stays so until rebalance, or until traffic wants it otherwise."`
	Rebalance    rebalanceCmd          `cmd:"" name:"rebalance" help:"Spread the leaders of replicated queues now: all, classic or quorum."`
	QuorumStatus quorumStatusCmd       `cmd:"" name:"quorum_status" help:"Show how a replicated queue stands with its members: QUEUE."`
	AwaitStartup awaitStartupCmd       `cmd:"" name:"await_startup" aliases:"wait" help:"Wait until the node can serve clients."`
}

// session is what a command works with.
type session struct {
	ctx       context.Context //nolint:containedctx // lives as long as one command
	client    *client
	in        io.Reader
	out, err  io.Writer
	terminal  bool // err is one
	quiet     bool
	silent    bool
	noHeaders bool
	format    string
	vhost     string
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
		return process.ExitError
	}
	k, err := parser.Parse(withoutTool(args))
	if exited {
		return status
	}
	if err != nil {
		fmt.Fprintln(stderr, "brokerctl:", wrongUse(parser.Model, args, err))
		return process.ExitUsage
	}
	if k.Selected().Name == "completion" {
		completion(stdout, parser.Model, c.Completion.Shell)
		return 0
	}
	cl, err := newClient(&c)
	if why := noneSuch[k.Selected().Name]; why != "" {
		err = fmt.Errorf("%w: %s does not apply here: %s", errUsage, k.Selected().Name, why)
	}
	if err == nil {
		err = k.Run(&session{
			ctx: ctx, client: cl, in: os.Stdin, out: stdout, err: stderr, terminal: isTerminal(stderr), quiet: c.Quiet || c.Silent, silent: c.Silent,
			noHeaders: c.NoHeaders, format: c.Formatter, vhost: c.VHost,
		})
	}
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "brokerctl:", strings.TrimPrefix(err.Error(), "usage: "))
		return process.ExitUsage
	case err != nil:
		fmt.Fprintln(stderr, "brokerctl:", err)
		return process.ExitError
	}
	return 0
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// wrongUse answers a wrong command line with the nearest right form, in one line.
func wrongUse(app *kong.Application, args []string, err error) string {
	var names []string
	for _, n := range app.Children {
		names = append(names, n.Name)
	}
	var word string
	for i, a := range args {
		if !strings.HasPrefix(a, "-") && !(i > 0 && slices.Contains(valueFlags, args[i-1])) {
			word = a
			break
		}
	}
	if word == "" {
		return "which command? Such as: brokerctl list_queues name messages; brokerctl --help lists all"
	}
	text := err.Error()
	for _, n := range app.Children {
		if n.Name == word || slices.Contains(n.Aliases, word) {
			return text + "; right is: brokerctl " + n.Summary()
		}
	}
	if strings.HasPrefix(text, "unknown flag") { // its value may have been taken for the command
		return text + "; brokerctl --help lists all"
	}
	best := nearest(word, names)
	for _, n := range app.Children {
		if n.Name == best && distance(word, best) <= max(len(word), len(best))/2 {
			return fmt.Sprintf("there is no command %q; did you mean: brokerctl %s", word, n.Summary())
		}
	}
	return fmt.Sprintf("there is no command %q; brokerctl --help lists all", word)
}
