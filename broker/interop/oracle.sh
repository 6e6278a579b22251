#!/usr/bin/env bash
# Talks all recorded conversations with a real RabbitMQ, compares its answers with the
# record, then does the same with a node of ours. Without ORACLE_URL (amqp://host:port)
# and ORACLE_HTTP (http://host:port of its management API) it starts the machine's own
# rabbitmq-server on ports of its own, and stops it at the end.
# Arguments go to the test: -args -update all records anew.
set -euo pipefail
cd "$(dirname "$0")/.."

AMQP_PORT=25660 HTTP_PORT=25661 DIST_PORT=25662 # below those that the system gives to clients
START_SECONDS=90
work=

stop() {
	[ -n "$work" ] || return 0
	if [ -s "$work/pid" ]; then
		local pid
		pid=$(cat "$work/pid") # the server removes the file
		kill "$pid" 2>/dev/null || true
		for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
	fi
	rm -rf "$work"
}

start() {
	local server=/usr/lib/rabbitmq/bin/rabbitmq-server # the one on the path wants its own user
	[ -x "$server" ] || server=$(command -v rabbitmq-server) || {
		echo "oracle: no rabbitmq-server (Debian: apt-get install rabbitmq-server), and ORACLE_URL is not set" >&2
		exit 1
	}
	work=$(mktemp -d)
	trap stop EXIT
	mkdir "$work/data" "$work/log"
	echo '[rabbitmq_management,rabbitmq_consistent_hash_exchange,rabbitmq_random_exchange,rabbitmq_sharding].' >"$work/enabled_plugins"
	printf 'listeners.tcp.1 = 127.0.0.1:%d\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %d\n' "$AMQP_PORT" "$HTTP_PORT" >"$work/rabbitmq.conf"
	head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$work/.erlang.cookie"
	chmod 400 "$work/.erlang.cookie"
	env HOME="$work" ERL_CRASH_DUMP="$work/crash" RABBITMQ_NODENAME=oracle@localhost RABBITMQ_NODE_PORT=$AMQP_PORT RABBITMQ_DIST_PORT=$DIST_PORT \
		RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_MNESIA_BASE="$work/data" RABBITMQ_LOG_BASE="$work/log" \
		RABBITMQ_PID_FILE="$work/pid" RABBITMQ_ENABLED_PLUGINS_FILE="$work/enabled_plugins" \
		RABBITMQ_CONFIG_FILE="$work/rabbitmq.conf" RABBITMQ_ADVANCED_CONFIG_FILE="$work/none" \
		"$server" >"$work/out" 2>&1 &
	export ORACLE_URL=amqp://127.0.0.1:$AMQP_PORT ORACLE_HTTP=http://127.0.0.1:$HTTP_PORT
	for _ in $(seq "$START_SECONDS"); do
		if curl -sf -u guest:guest "$ORACLE_HTTP/api/overview" >/dev/null; then return; fi
		sleep 1
	done
	echo "oracle: rabbitmq-server does not start:" >&2
	tail -5 "$work/out" >&2
	exit 1
}

[ -n "${ORACLE_URL:-}" ] || start
echo "oracle: the broker at $ORACLE_URL"
go test -count=1 -timeout 10m ./internal/conformance -run 'TestConversations' "$@"
if [ $# -eq 0 ]; then
	echo "oracle: ours"
	env -u ORACLE_URL -u ORACLE_HTTP go test -count=1 -timeout 10m ./internal/conformance
fi
