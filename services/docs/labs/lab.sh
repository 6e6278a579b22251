# What the labs use. The addresses are the demo's; whoever moved a port sets the variable.
ORDER=${ORDER:-http://127.0.0.1:8080}
PAYMENT=${PAYMENT:-http://127.0.0.1:8081}
PRODUCT=${PRODUCT:-http://127.0.0.1:8082}
SHIPMENT=${SHIPMENT:-http://127.0.0.1:8083}
CONDUCTOR=${CONDUCTOR:-http://127.0.0.1:8084}
TRACES=${TRACES:-http://127.0.0.1:16686}
MANAGEMENT=${MANAGEMENT:-http://127.0.0.1:15672}
PATH=$PATH:$PWD/bin

# at NAME: the address of a service.
at() { case $1 in order) echo "$ORDER" ;; payment) echo "$PAYMENT" ;; product) echo "$PRODUCT" ;; shipment) echo "$SHIPMENT" ;; conductor) echo "$CONDUCTOR" ;; esac; }

# on FAILURE NAME [VALUE]: switch a failure on there, for a minute at most. off FAILURE NAME: and off.
on() { curl -sf -X PUT "$(at "$2")/admin/failures/$1" -H 'Content-Type: application/json' -d "{\"value\":${3:-0},\"seconds\":60}" >/dev/null && echo "$1 is on at $2"; }
off() { curl -sf -X DELETE "$(at "$2")/admin/failures/$1" >/dev/null && echo "$1 is off at $2"; }

# hits FAILURE NAME: how often it has made a difference.
hits() { curl -sf "$(at "$2")/admin/failures" | tr '{' '\n' | grep "\"kind\":\"$1\"" | sed 's/.*"hits":\([0-9]*\).*/\1/'; }

# member NAME: the value of a JSON member on standard input, the first one.
member() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/" | head -1; }

# place SKU [CUSTOMER]: order one piece; prints the order's id.
place() {
  curl -sf "$ORDER/orders" -H 'Content-Type: application/json' \
    -d "{\"customer_id\":\"${2:-c-1}\",\"currency\":\"EUR\",\"items\":[{\"sku\":\"$1\",\"quantity\":1}]}" | sed 's/^{"id":"\([^"]*\)".*/\1/'
}

# status ID: of an order. timeline ID: what happened to it.
status() { curl -sf "$ORDER/orders/$1" | member status; }
timeline() { curl -sf "$ORDER/orders/$1/timeline" | tr '{' '\n' | sed -n 's/.*"event":"\([^"]*\)".*/\1/p'; }

# await COMMAND...: until it succeeds.
await() { until "$@" 2>/dev/null; do sleep 0.2; done; }
is() { [ "$(status "$1")" = "$2" ]; }

# messages QUEUE: how many it holds.
messages() { curl -sf -u guest:guest "$MANAGEMENT/api/queues/%2F/$1" | sed 's/.*"messages":\([0-9]*\).*/\1/'; }
holds() { [ "$(messages "$1")" -gt 0 ]; }

# traced ID: the services in the order's trace.
traced() { curl -sf "$TRACES/api/traces/$(curl -sf "$ORDER/orders/$1" | member trace_id)" | tr '{' '\n' | sed -n 's/.*"serviceName":"\([^"]*\)".*/\1/p' | sort -u | grep -v broker; }
