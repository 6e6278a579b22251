package contract

import (
	"strings"
	"testing"
)

const api = `{"paths":{"/orders":{"post":{
	"parameters":[{"name":"Key","in":"header","schema":{"type":"string","maxLength":9}}],
	"requestBody":{"required":true,"content":{"application/json":{"schema":{"$ref":"#/components/schemas/In"}}}},
	"responses":{"201":{"headers":{"Location":{}},"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Out"}}}}}}}},
	"components":{"messages":{"OrderPlaced":{"payload":{"type":"object","required":["order_id"],"properties":{"order_id":{"type":"string"}}}}},"schemas":{
		"In":{"type":"object","required":["n"],"properties":{"n":{"type":"integer","minimum":1},"kind":{"type":"string","enum":["a","b"]}}},
		"Out":{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"note":{"type":"string"},"more":{"type":["array","null"],"items":{"$ref":"#/components/schemas/Out"}}}}}},
	"channels":{"order.placed":{"address":"order.placed","messages":{"OrderPlaced":{"$ref":"#/components/messages/OrderPlaced"}}}},
	"operations":{"order.send":{}}}`

func TestBreaking(t *testing.T) {
	for _, c := range []struct{ name, old, now, says string }{
		{"nothing", "", "", ""},
		{"a new operation", `"post":{`, `"get":{},"post":{`, ""},
		{"a new optional member", `"kind":{`, `"more":{"type":"string"},"kind":{`, ""},
		{"a wider enum in a request", `["a","b"]`, `["a","b","c"]`, ""},
		{"an answer that says more", `"note":{`, `"more2":{"type":"string"},"note":{`, ""},
		{"a longer parameter", `"maxLength":9`, `"maxLength":10`, ""},
		{"an operation is gone", `"post"`, `"put"`, "POST /orders is gone"},
		{"a parameter is gone", `"name":"Key"`, `"name":"Other"`, "parameter Key is gone"},
		{"a shorter parameter", `"maxLength":9`, `"maxLength":8`, "maxLength is 8 now"},
		{"a member is required", `"required":["n"]`, `"required":["n","kind"]`, "kind is required now"},
		{"a request member is gone", `"n":{"type":"integer","minimum":1},`, ``, "n is gone"},
		{"a narrower enum", `["a","b"]`, `["a"]`, "b is not accepted any more"},
		{"a higher minimum", `"minimum":1`, `"minimum":2`, "minimum is 2 now"},
		{"another type", `"n":{"type":"integer"`, `"n":{"type":"string"`, "integer is not accepted any more"},
		{"an answer without a member", `"note":{"type":"string"},`, ``, "note is gone"},
		{"an answer that may lack a member", `"required":["id"]`, `"required":[]`, "id may be missing now"},
		{"an answer that may be null", `"id":{"type":"string"}`, `"id":{"type":["string","null"]}`, "may be null now"},
		{"a status is gone", `"201"`, `"200"`, "answer 201 is gone"},
		{"a header is gone", `"Location":{}`, ``, "header Location is gone"},
		{"a channel is gone", `"order.placed":{"address"`, `"order.new":{"address"`, "channel order.placed is gone"},
		{"another address", `"address":"order.placed"`, `"address":"orders"`, "another address"},
		{"an event without a member", `"order_id":{"type":"string"}`, ``, "OrderPlaced: order_id is gone"},
		{"nobody sends any more", `"order.send"`, `"order.other"`, "operation order.send is gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			after := api
			if c.old != "" {
				if after = strings.Replace(api, c.old, c.now, 1); after == api {
					t.Fatal("the test changes nothing")
				}
			}
			got, err := Breaking([]byte(api), []byte(after))
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(got, "; "); (c.says == "") != (all == "") || !strings.Contains(all, c.says) {
				t.Errorf("found %q, want %q", all, c.says)
			}
		})
	}
}
