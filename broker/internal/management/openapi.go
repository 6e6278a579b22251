package management

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// The document that describes the API is made of the routes and of these lines: what each
// request does and, behind a bar, an example of its body.

var requestTexts = map[string]string{
	"GET /api/overview":                            "The cluster: totals, rates, listeners, latencies.",
	"GET /api/nodes":                               "All nodes: what each uses and may use.",
	"GET /api/nodes/{node}":                        "One node.",
	"GET /api/nodes/{node}/memory":                 "Where a node's memory went.",
	"GET /api/cluster-name":                        "The cluster's name.",
	"PUT /api/cluster-name":                        `Name the cluster.|{"name":"shop"}`,
	"GET /api/extensions":                          "What extends this API; for tools that look.",
	"GET /api/version":                             "Versions: the product's, and the one whose API this is.",
	"GET /api/whoami":                              "Who is logged in.",
	"POST /api/cluster/join":                       `Move the node to another cluster.|{"peer":"host:port","force":false}`,
	"PUT /api/cluster/limits":                      `Change the limits behind this node's alarms.|{"memory":536870912,"disk_free":209715200}`,
	"POST /api/cluster/stop":                       "Stop this node in order.",
	"DELETE /api/cluster/nodes/{node}":             "Remove a node for good; ?force=true also one that runs.",
	"PUT /api/cluster/nodes/{node}/maintenance":    "Put a node into maintenance: its leaderships and clients go to others.",
	"DELETE /api/cluster/nodes/{node}/maintenance": "End the maintenance.",
	"PUT /api/cluster/nodes/{node}/groups":         "Give a node its share of the replicated queues.",
	"DELETE /api/cluster/nodes/{node}/groups":      "Give a node's replicated queues to others.",
	"GET /api/cluster/log-level":                   "The least level that this node logs.",
	"PUT /api/cluster/log-level":                   `Change it until the node is started again.|{"level":"debug"}`,
	"GET /api/audit":                               "Who changed something over this API, or was refused it; the newest first.",
	"GET /api/auth":                                "How one logs in: with name and password.",
	"GET /api/auth/attempts/{node}":                "Logins tried on a node, good and bad.",
	"DELETE /api/reset":                            "Forget what was gathered for answers: they are made anew.",
	"DELETE /api/reset/{node}":                     "The same.",
	"POST /api/rebalance/queues":                   "Spread the leaders of replicated queues at once.",

	"GET /api/queues":                                                   "Queues of all virtual hosts that you see.",
	"GET /api/queues/detailed":                                          "The same; RabbitMQ tells the two apart.",
	"GET /api/queues/{vhost}":                                           "Queues of a virtual host.",
	"GET /api/queues/{vhost}/{name}":                                    "One queue, with its consumers.",
	"PUT /api/queues/{vhost}/{name}":                                    `Declare a queue.|{"durable":true,"auto_delete":false,"arguments":{"x-queue-type":"quorum"}}`,
	"DELETE /api/queues/{vhost}/{name}":                                 "Delete a queue; ?if-empty=true, ?if-unused=true.",
	"DELETE /api/queues/{vhost}/{name}/contents":                        "Remove the messages that are ready.",
	"GET /api/queues/{vhost}/{name}/bindings":                           "Bindings that lead to a queue.",
	"POST /api/queues/{vhost}/{name}/get":                               `Fetch messages; ackmode says if they stay, and peek only looks: from offset on, nothing counts as delivered.|{"count":10,"ackmode":"ack_requeue_true","encoding":"auto","truncate":50000}`,
	"POST /api/queues/{vhost}/{name}/move":                              `Move messages to another queue, or to an exchange.|{"queue":"other","count":100}`,
	"POST /api/queues/{vhost}/{name}/actions":                           `RabbitMQ's sync and cancel_sync, which have nothing to do here.|{"action":"sync"}`,
	"POST /api/queues/quorum/{vhost}/{name}/replicas/add":               `Let a node hold a replicated queue, and the others of its placement group.|{"node":"broker-4"}`,
	"DELETE /api/queues/quorum/{vhost}/{name}/replicas/delete":          `Take it from a node.|{"node":"broker-4"}`,
	"POST /api/queues/quorum/{vhost}/{name}/leader":                     `Let another member lead it.|{"node":"broker-2"}`,
	"POST /api/queues/quorum/replicas/on/{node}/grow":                   "Give a node its share of the replicated queues.",
	"DELETE /api/queues/quorum/replicas/on/{node}/shrink":               "Give a node's replicated queues to others.",
	"GET /api/queues/quorum/{vhost}/{name}/status":                      "The members of a replicated queue, and how far each has come.",
	"GET /api/exchanges":                                                "Exchanges of all virtual hosts that you see.",
	"GET /api/exchanges/{vhost}":                                        "Exchanges of a virtual host.",
	"GET /api/exchanges/{vhost}/{exchange}":                             "One exchange.",
	"PUT /api/exchanges/{vhost}/{exchange}":                             `Declare an exchange.|{"type":"topic","durable":true,"auto_delete":false,"internal":false,"arguments":{}}`,
	"DELETE /api/exchanges/{vhost}/{exchange}":                          "Delete an exchange; ?if-unused=true.",
	"POST /api/exchanges/{vhost}/{exchange}/publish":                    `Publish a message.|{"properties":{},"routing_key":"key","payload":"hello","payload_encoding":"string"}`,
	"POST /api/exchanges/{vhost}/{exchange}/routes":                     `Say where a message would go.|{"properties":{},"routing_key":"key"}`,
	"GET /api/exchanges/{vhost}/{exchange}/bindings/source":             "Bindings from an exchange.",
	"GET /api/exchanges/{vhost}/{exchange}/bindings/destination":        "Bindings to an exchange.",
	"GET /api/bindings":                                                 "All bindings that you see.",
	"GET /api/bindings/{vhost}":                                         "Bindings of a virtual host.",
	"GET /api/bindings/{vhost}/e/{exchange}/q/{destination}":            "Bindings between an exchange and a queue.",
	"POST /api/bindings/{vhost}/e/{exchange}/q/{destination}":           `Bind a queue.|{"routing_key":"key","arguments":{}}`,
	"GET /api/bindings/{vhost}/e/{exchange}/q/{destination}/{props}":    "One of them.",
	"DELETE /api/bindings/{vhost}/e/{exchange}/q/{destination}/{props}": "Remove it.",
	"GET /api/bindings/{vhost}/e/{exchange}/e/{destination}":            "Bindings between two exchanges.",
	"POST /api/bindings/{vhost}/e/{exchange}/e/{destination}":           `Bind an exchange.|{"routing_key":"key","arguments":{}}`,
	"GET /api/bindings/{vhost}/e/{exchange}/e/{destination}/{props}":    "One of them.",
	"DELETE /api/bindings/{vhost}/e/{exchange}/e/{destination}/{props}": "Remove it.",

	"GET /api/connections":                    "Client connections that you see: administrators and monitors see all.",
	"GET /api/connections/username/{user}":    "Connections of a user.",
	"DELETE /api/connections/username/{user}": "Close them; header X-Reason tells the clients why.",
	"GET /api/vhosts/{vhost}/connections":     "Connections to a virtual host.",
	"GET /api/connections/{name}":             "One connection.",
	"DELETE /api/connections/{name}":          "Close it; header X-Reason tells the client why.",
	"GET /api/connections/{name}/channels":    "Its channels.",
	"GET /api/channels":                       "Channels of the connections that you see.",
	"GET /api/vhosts/{vhost}/channels":        "Channels in a virtual host.",
	"GET /api/channels/{name}":                "One channel, with its consumers.",
	"GET /api/consumers":                      "Consumers of all queues that you see.",
	"GET /api/consumers/{vhost}":              "Consumers in a virtual host.",

	"GET /api/vhosts":                                         "Virtual hosts that you see.",
	"GET /api/vhosts/{vhost}":                                 "One virtual host.",
	"PUT /api/vhosts/{vhost}":                                 `Add one, or change it.|{"description":"","tags":"","default_queue_type":"quorum","tracing":false}`,
	"DELETE /api/vhosts/{vhost}":                              "Delete it, with all that is in it.",
	"POST /api/vhosts/{vhost}/start/{node}":                   "Start it on a node, where it runs anyway.",
	"POST /api/vhosts/{vhost}/deletion/protection":            "Protect it from deletion.",
	"DELETE /api/vhosts/{vhost}/deletion/protection":          "End that.",
	"GET /api/vhost-limits":                                   "Limits of virtual hosts.",
	"GET /api/vhost-limits/{vhost}":                           "Limits of one.",
	"PUT /api/vhost-limits/{vhost}/{name}":                    `Set a limit: max-connections or max-queues.|{"value":100}`,
	"DELETE /api/vhost-limits/{vhost}/{name}":                 "Remove it.",
	"GET /api/users":                                          "Users.",
	"GET /api/users/without-permissions":                      "Users who may use no virtual host.",
	"POST /api/users/bulk-delete":                             `Delete several.|{"users":["a","b"]}`,
	"GET /api/users/{user}":                                   "One user.",
	"PUT /api/users/{user}":                                   `Add a user, or change password and tags.|{"password":"secret","tags":"management"}`,
	"DELETE /api/users/{user}":                                "Delete a user, and close the user's connections.",
	"GET /api/user-limits":                                    "Limits of users.",
	"GET /api/user-limits/{user}":                             "Limits of one.",
	"PUT /api/user-limits/{user}/{name}":                      `Set a limit: max-connections or max-channels.|{"value":100}`,
	"DELETE /api/user-limits/{user}/{name}":                   "Remove it.",
	"GET /api/permissions":                                    "All permissions.",
	"GET /api/users/{user}/permissions":                       "A user's.",
	"GET /api/vhosts/{vhost}/permissions":                     "Those in a virtual host.",
	"GET /api/permissions/{vhost}/{user}":                     "A user's in a virtual host.",
	"PUT /api/permissions/{vhost}/{user}":                     `Set them: regular expressions of names.|{"configure":".*","write":".*","read":".*"}`,
	"DELETE /api/permissions/{vhost}/{user}":                  "Remove them.",
	"GET /api/topic-permissions":                              "All permissions for routing keys.",
	"GET /api/users/{user}/topic-permissions":                 "A user's.",
	"GET /api/vhosts/{vhost}/topic-permissions":               "Those in a virtual host.",
	"GET /api/topic-permissions/{vhost}/{user}":               "A user's in a virtual host.",
	"PUT /api/topic-permissions/{vhost}/{user}":               `Set one.|{"exchange":"amq.topic","write":"^a","read":".*"}`,
	"DELETE /api/topic-permissions/{vhost}/{user}":            "Remove all of them.",
	"GET /api/topic-permissions/{vhost}/{user}/{exchange}":    "That for one exchange.",
	"DELETE /api/topic-permissions/{vhost}/{user}/{exchange}": "Remove it.",

	"GET /api/policies":                                 "Policies of all virtual hosts that you see.",
	"GET /api/policies/{vhost}":                         "Policies of a virtual host.",
	"GET /api/policies/{vhost}/{name}":                  "One policy.",
	"PUT /api/policies/{vhost}/{name}":                  `Set a policy.|{"pattern":"^orders","definition":{"ha-mode":"all"},"priority":0,"apply-to":"queues"}`,
	"DELETE /api/policies/{vhost}/{name}":               "Remove it.",
	"GET /api/operator-policies":                        "The operator's policies.",
	"GET /api/operator-policies/{vhost}":                "Those of a virtual host.",
	"GET /api/operator-policies/{vhost}/{name}":         "One of them.",
	"PUT /api/operator-policies/{vhost}/{name}":         `Set one.|{"pattern":".*","definition":{"max-length":100000},"priority":0,"apply-to":"queues"}`,
	"DELETE /api/operator-policies/{vhost}/{name}":      "Remove it.",
	"GET /api/parameters":                               "Runtime parameters.",
	"GET /api/parameters/{component}":                   "Those of a component.",
	"GET /api/parameters/{component}/{vhost}":           "Those in a virtual host.",
	"GET /api/parameters/{component}/{vhost}/{name}":    "One of them.",
	"PUT /api/parameters/{component}/{vhost}/{name}":    `Set one; the only component is vhost-limits.|{"value":{"max-queues":100}}`,
	"DELETE /api/parameters/{component}/{vhost}/{name}": "Remove it.",
	"GET /api/global-parameters":                        "Global parameters.",
	"GET /api/global-parameters/{name}":                 "One of them.",
	"PUT /api/global-parameters/{name}":                 `Set one.|{"value":{}}`,
	"DELETE /api/global-parameters/{name}":              "Remove it.",
	"GET /api/definitions":                              "Everything that operators set up, without messages; ?download=file.json.",
	"POST /api/definitions":                             `Add definitions to what is there; refused entries are named.|{"queues":[]}`,
	"PUT /api/definitions":                              `The same.|{"queues":[]}`,
	"GET /api/definitions/{vhost}":                      "Definitions of a virtual host.",
	"POST /api/definitions/{vhost}":                     `Add them to a virtual host.|{"queues":[]}`,

	"GET /api/events":                      "What happened lately, the newest first; ?after= is a time in Unix milliseconds.",
	"GET /api/events/stream":               "Server-sent events: overview every two seconds, and what happens.",
	"GET /api/feature-flags":               "Feature flags: all are on.",
	"PUT /api/feature-flags/{name}/enable": "Turn one on, which it is.",
	"GET /api/deprecated-features":         "None.",
	"GET /api/deprecated-features/used":    "None.",
	"GET /api/shovels":                     "None: this broker has no shovels; POST to a queue's /move moves messages.",
	"GET /api/shovels/{vhost}":             "None.",
	"GET /api/federation-links":            "None: this broker has no federation.",
	"GET /api/federation-links/{vhost}":    "None.",

	"GET /api/aliveness-test/{vhost}":                                                              "Declare a queue, publish to it, get the message back.",
	"GET /api/healthchecks/node":                                                                   "Whether this node can serve clients.",
	"GET /api/healthchecks/node/{node}":                                                            "The same.",
	"GET /api/health/checks/alarms":                                                                "503 if any node of the cluster has an alarm.",
	"GET /api/health/checks/local-alarms":                                                          "503 if this node has one.",
	"GET /api/health/checks/port-listener/{port}":                                                  "503 if nobody listens there.",
	"GET /api/health/checks/protocol-listener/{protocol}":                                          "503 if nobody speaks that.",
	"GET /api/health/checks/virtual-hosts":                                                         "503 if this node does not serve its virtual hosts.",
	"GET /api/health/checks/node-is-mirror-sync-critical":                                          "503 if queues would lose their majority without this node.",
	"GET /api/health/checks/node-is-quorum-critical":                                               "503 if queues would lose their majority without this node.",
	"GET /api/health/checks/is-in-service":                                                         "503 if the node does not serve clients, or is in maintenance.",
	"GET /api/health/checks/below-node-connection-limit":                                           "503 if the node takes no more connections.",
	"GET /api/health/checks/reached-target-cluster-size":                                           "503 if a node is down.",
	"GET /api/health/checks/certificate-expiration/{n}/{unit}":                                     "503 if the TLS listener's certificate ends within that time.",
	"GET /api/health/checks/metadata-store/initialized":                                            "503 if the node belongs to no cluster yet.",
	"GET /api/health/checks/metadata-store/initialized/with-data":                                  "503 if the node belongs to no cluster yet.",
	"GET /api/health/checks/quorum-queues-without-elected-leaders/all-vhosts":                      "503 if a replicated queue has no leader.",
	"GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}":                   "The same, in a virtual host.",
	"GET /api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}": "The same, of queues whose name matches.",
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// listParameters are the query parameters of every list.
var listParameters = [...][2]string{
	{"name", "only entries whose name contains this"}, {"use_regex", "true: name is a regular expression"}, {"sort", "column, such as message_stats.publish_details.rate"},
	{"sort_reverse", "true: the largest first"}, {"columns", "columns to return, parted by commas"}, {"page", "from 1; without it the whole list"}, {"page_size", "at most 500"},
}

// openapi answers with the document. Nobody needs to log in for it.
func (h *handler) openapi(w http.ResponseWriter, _ *http.Request) {
	paths := map[string]map[string]any{}
	for _, t := range h.allRoutes() {
		if paths[t.path] == nil {
			paths[t.path] = map[string]any{}
		}
		paths[t.path][strings.ToLower(t.method)] = operation(&t)
	}
	write(w, http.StatusOK, map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "Warren management API", "version": Version, "license": map[string]string{"name": "Apache-2.0"},
			"description": "RabbitMQ's management API, and what Warren adds. In a path, a virtual host named / is %2F. An answer that lacks a node's word names the node in header X-Warren-Missing.",
		},
		"paths": paths, "security": []map[string]any{{"basic": []string{}}},
		"components": map[string]any{"securitySchemes": map[string]any{"basic": map[string]string{"type": "http", "scheme": "basic"}}},
	})
}

func operation(t *route) map[string]any {
	text, example, _ := strings.Cut(requestTexts[t.method+" "+t.path], "|")
	parameters := []map[string]any{}
	for _, m := range pathParameter.FindAllStringSubmatch(t.path, -1) {
		parameters = append(parameters, map[string]any{"name": m[1], "in": "path", "required": true, "schema": map[string]string{"type": "string"}})
	}
	last := t.path[strings.LastIndex(t.path, "/")+1:]
	if t.method == http.MethodGet && !strings.Contains(t.path, "health") && (!strings.HasPrefix(last, "{") || last == "{vhost}") {
		for _, p := range listParameters {
			parameters = append(parameters, map[string]any{"name": p[0], "in": "query", "description": p[1], "schema": map[string]string{"type": "string"}})
		}
	}
	responses := map[string]any{"401": describe("Not logged in, or not allowed."), "404": describe("There is no such thing.")}
	switch t.method {
	case http.MethodGet:
		responses["200"] = describe("The answer, in JSON.")
	case http.MethodPut:
		responses["201"], responses["204"], responses["400"] = describe("It is new."), describe("It was there."), describe("The request is wrong; reason says why.")
	case http.MethodPost:
		responses["200"], responses["201"], responses["204"] = describe("Done, with an answer."), describe("It is new."), describe("Done.")
		responses["400"] = describe("The request is wrong; reason says why.")
	case http.MethodDelete:
		responses["204"] = describe("It is gone.")
	}
	if strings.Contains(t.path, "/health/checks/") {
		responses["503"] = describe("The check found something; reason says what.")
	}
	o := map[string]any{"summary": text, "parameters": parameters, "responses": responses, "x-tags-needed": t.role.tags}
	if example != "" {
		o["requestBody"] = map[string]any{"content": map[string]any{"application/json": map[string]any{"schema": map[string]string{"type": "object"}, "example": json.RawMessage(example)}}}
	}
	return o
}

func describe(text string) map[string]string { return map[string]string{"description": text} }
