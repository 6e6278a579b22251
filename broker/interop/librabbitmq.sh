#!/usr/bin/env bash
# librabbitmq's command-line tools: declare, publish, get, consume, delete. They know no
# confirms.
set -euo pipefail
command -v amqp-publish >/dev/null || { echo "librabbitmq skipped: apt-get install amqp-tools"; exit 77; }
queue=interop-librabbitmq-$$
options=(--url="${AMQP_URL/127.0.0.1/localhost}") # it compares certificates with names only
[[ $AMQP_URL == amqps:* ]] && options+=(--ssl --cacert="$CA_FILE")

amqp-declare-queue "${options[@]}" --durable --queue="$queue" >/dev/null
for n in 1 2 3; do amqp-publish "${options[@]}" --persistent --content-type=text/plain --header "n: $n" --routing-key="$queue" --body="message $n"; done
got=$(amqp-get "${options[@]}" --queue="$queue")
[ "$got" = "message 1" ] || { echo "got '$got'"; exit 1; }
got=$(timeout 20 amqp-consume "${options[@]}" --queue="$queue" --count=2 --prefetch-count=1 cat)
[ "$got" = "message 2message 3" ] || { echo "got '$got'"; exit 1; }
amqp-delete-queue "${options[@]}" --queue="$queue" >/dev/null
echo "librabbitmq: 3 messages"
