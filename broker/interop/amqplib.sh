#!/usr/bin/env bash
# amqplib (Node.js), from Debian, from NODE_PATH, or from npm into AMQPLIB_DIR.
set -euo pipefail
command -v node >/dev/null || { echo "amqplib skipped: apt-get install nodejs npm"; exit 77; }
dir=${AMQPLIB_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/warren-interop}
export NODE_PATH=${NODE_PATH:-}:$dir/node_modules:/usr/share/nodejs
if ! node -e 'require("amqplib")' 2>/dev/null; then
	command -v npm >/dev/null || { echo "amqplib skipped: apt-get install npm, or npm install amqplib"; exit 77; }
	mkdir -p "$dir"
	timeout 50 npm install --silent --no-audit --no-fund --prefix "$dir" amqplib >/dev/null 2>&1 || { echo "amqplib skipped: npm install amqplib failed"; exit 77; }
fi
exec node amqplib_client.js
