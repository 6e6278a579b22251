package contract

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/internal/saga"
)

// TestAsyncAPI: docs/asyncapi.json is what the event types and the services' bindings say.
func TestAsyncAPI(t *testing.T) { Check(t, "../../docs/asyncapi.json", asyncAPI(t)) }

func asyncAPI(t *testing.T) object {
	t.Helper()
	words := typeDocs(t)
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	channels, operations, messages := object{}, object{}, object{}
	for _, e := range events.All() {
		name, destination := e.Type(), e.Destination()
		messages[name] = object{
			"name": name, "title": name, "summary": words[name], "contentType": "application/json",
			"correlationId": object{"location": "$message.header#/correlationId", "description": "The order's id; a product's SKU for ProductListed"},
			"payload":       schemas.Schema(reflect.TypeOf(e), true, name),
		}
		channels[destination] = object{
			"address": destination, "title": destination,
			"description": "Topic exchange; each group that listens has a queue " + destination + ".<group> and a dead-letter queue behind it.",
			"messages":    object{name: object{"$ref": "#/components/messages/" + name}},
			"bindings": object{"amqp": object{
				"is": "routingKey", "exchange": object{"name": destination, "type": "topic", "durable": true, "autoDelete": false, "vhost": "/"},
			}},
		}
		for _, m := range saga.Services() {
			if slices.Contains(m.Tells(), name) || m == saga.Stock && name == (events.ProductListed{}).Type() {
				operations[m.Name+".send."+destination] = operation("send", destination, name, object{
					"deliveryMode": 2, "mandatory": true,
				}, m.Name+" tells it, through its outbox, with publisher confirms")
			}
		}
		for _, group := range saga.Subscribers(destination) {
			operations[group+".receive."+destination] = operation("receive", destination, name, object{"ack": true},
				fmt.Sprintf("%s hears it from %s.%s, through its inbox; what it cannot use goes to %s.%s.dlq", group, destination, group, destination, group))
		}
	}
	for _, s := range schemas.Map() {
		s.AdditionalProperties = nil // readers let pass what they do not know
	}
	return object{
		"asyncapi": "3.0.0", "defaultContentType": "application/json",
		"info": object{
			"title": "Warren's sample system", "version": chassis.APIVersion,
			"description": "Events between order, payment, product and shipment. Members are added, never changed or removed: readers ignore what they do not know.",
			"license":     object{"name": "Apache-2.0"},
		},
		"servers": object{"local": object{
			"host": "127.0.0.1:5670", "protocol": "amqp", "protocolVersion": "0-9-1", "description": "The balancer in front of the three brokers",
		}},
		"channels": channels, "operations": operations,
		"components": object{"messages": messages, "schemas": schemas},
	}
}

func operation(action, destination, message string, amqp object, summary string) object {
	return object{
		"action": action, "summary": summary, "channel": object{"$ref": "#/channels/" + destination},
		"messages": []any{object{"$ref": "#/channels/" + destination + "/messages/" + message}}, "bindings": object{"amqp": amqp},
	}
}

// typeDocs returns what the comments say of the event types, on one line.
func typeDocs(t *testing.T) map[string]string {
	t.Helper()
	fset := token.NewFileSet()
	files, err := parser.ParseDir(fset, "../../events", nil, parser.ParseComments) //nolint:staticcheck // comments are all that is wanted
	if err != nil {
		t.Fatal(err)
	}
	var all []*ast.File
	for _, f := range files["events"].Files {
		all = append(all, f)
	}
	p, err := doc.NewFromFiles(fset, all, "events")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, x := range p.Types {
		out[x.Name] = strings.Join(strings.Fields(x.Doc), " ")
	}
	for _, e := range events.All() {
		if out[e.Type()] == "" {
			t.Fatalf("%s has no comment", e.Type())
		}
	}
	return out
}
