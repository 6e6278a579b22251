# What the labs use. The addresses are the demo's; whoever moved a port sets the variable.
ORDER=${ORDER:-http://127.0.0.1:8080}
PAYMENT=${PAYMENT:-http://127.0.0.1:8081}
PRODUCT=${PRODUCT:-http://127.0.0.1:8082}
SHIPMENT=${SHIPMENT:-http://127.0.0.1:8083}
CONDUCTOR=${CONDUCTOR:-http://127.0.0.1:8084}
TRACES=${TRACES:-http://127.0.0.1:16686}
MANAGEMENT=${MANAGEMENT:-http://127.0.0.1:15672}
STATISTICS=${STATISTICS:-http://127.0.0.1:8100}
AMQP_1=${AMQP_1:-amqp://guest:guest@127.0.0.1:5672/}
AMQP_2=${AMQP_2:-amqp://guest:guest@127.0.0.1:5673/}
AMQP_3=${AMQP_3:-amqp://guest:guest@127.0.0.1:5674/}
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

# holder QUEUE: the number of the node that leads it, or has its only copy. other N...: a node that is none of these.
holder() { brokerctl -s list_queues name leader | sed -n "s/^$1\tbroker-//p"; }
other() { for n in 3 2 1; do case " $* " in *" $n "*) ;; *) echo $n; return ;; esac; done; }

# publish N QUEUE, consume N QUEUE: five messages through node N. stop N, kill_node N, start N: a node.
publish() { eval "talk publish \$AMQP_$1 $2"; }
consume() { eval "talk consume \$AMQP_$1 $2"; }
stop() { demo node-stop "$1" >/dev/null; }
kill_node() { demo node-stop --kill "$1" >/dev/null; }
start() { demo node-start "$1" >/dev/null; }

# consumes N QUEUE: five messages, once they can be had.
consumes() { [ "$(consume "$1" "$2")" = "gets 5" ]; }

# states: of the nodes, on the proxy's statistics page.
states() { curl -sf "$STATISTICS/;csv" | sed -n 's/^amqp,\(broker-[0-9]\),.*,\(UP\|DOWN\),1,1,0,.*/\1 \2/p'; }
