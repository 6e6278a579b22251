#!/usr/bin/env bash
# pika (Python).
set -euo pipefail
for python in python3 /usr/bin/python3; do
	if "$python" -c 'import pika' 2>/dev/null; then exec "$python" pika_client.py; fi
done
echo "pika skipped: apt-get install python3-pika"
exit 77
