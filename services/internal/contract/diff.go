// Package contract compares the documents that the services promise to keep, OpenAPI and AsyncAPI, with what they said before, and
// tells which differences break somebody. It is used by tests only.
package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Breaking returns what somebody who relies on the old document would miss in the new one; both are OpenAPI 3.1 or AsyncAPI 3 as
// JSON. Adding is allowed: operations, channels, optional request members, members and enum values of answers and messages, which
// readers must let pass.
func Breaking(before, after []byte) ([]string, error) {
	var d diff
	if err := json.Unmarshal(before, &d.before); err != nil {
		return nil, fmt.Errorf("contract: old document: %w", err)
	}
	if err := json.Unmarshal(after, &d.after); err != nil {
		return nil, fmt.Errorf("contract: new document: %w", err)
	}
	d.seen = map[string]bool{}
	d.openAPI()
	d.asyncAPI()
	return d.found, nil
}

type object = map[string]any

type diff struct {
	before, after object
	found         []string
	seen          map[string]bool // pairs of references that are being compared, which may go in circles
}

func (d *diff) breaks(format string, args ...any) {
	d.found = append(d.found, fmt.Sprintf(format, args...))
}

func (d *diff) openAPI() {
	paths, now := at(d.before, "paths"), at(d.after, "paths")
	for _, path := range keys(paths) {
		for _, method := range keys(at(paths, path)) {
			op, nop := at(paths, path, method), at(now, path, method)
			where := strings.ToUpper(method) + " " + path
			if nop == nil {
				d.breaks("%s is gone", where)
				continue
			}
			d.parameters(where, list(op["parameters"]), list(nop["parameters"]))
			d.content(where+" request", at(op, "requestBody", "content"), at(nop, "requestBody", "content"), true)
			if nop["requestBody"] != nil && at(nop, "requestBody")["required"] == true && at(op, "requestBody")["required"] != true {
				d.breaks("%s: a body is required now", where)
			}
			for _, status := range keys(at(op, "responses")) {
				if status == "default" {
					continue
				}
				answer, newAnswer := at(op, "responses", status), at(nop, "responses", status)
				if newAnswer == nil {
					d.breaks("%s: answer %s is gone", where, status)
					continue
				}
				d.content(where+" "+status, at(answer, "content"), at(newAnswer, "content"), false)
				for _, h := range keys(at(answer, "headers")) {
					if at(newAnswer, "headers", h) == nil {
						d.breaks("%s %s: header %s is gone", where, status, h)
					}
				}
			}
		}
	}
}

func (d *diff) parameters(where string, before, after []any) {
	find := func(in []any, p object) object {
		for _, x := range in {
			if o, _ := x.(object); o["name"] == p["name"] && o["in"] == p["in"] {
				return o
			}
		}
		return nil
	}
	for _, x := range before {
		p, _ := x.(object)
		q := find(after, p)
		if q == nil {
			d.breaks("%s: parameter %v is gone", where, p["name"])
			continue
		}
		if q["required"] == true && p["required"] != true {
			d.breaks("%s: parameter %v is required now", where, p["name"])
		}
		d.schema(fmt.Sprintf("%s: parameter %v", where, p["name"]), at(p, "schema"), at(q, "schema"), true)
	}
	for _, x := range after {
		if q, _ := x.(object); q["required"] == true && find(before, q) == nil {
			d.breaks("%s: parameter %v is new and required", where, q["name"])
		}
	}
}

func (d *diff) content(where string, before, after object, request bool) {
	for _, kind := range keys(before) {
		if at(after, kind) == nil {
			d.breaks("%s: %s is gone", where, kind)
			continue
		}
		d.schema(where, at(before, kind, "schema"), at(after, kind, "schema"), request)
	}
}

func (d *diff) asyncAPI() {
	for _, id := range keys(at(d.before, "channels")) {
		channel, now := at(d.before, "channels", id), at(d.after, "channels", id)
		if now == nil {
			d.breaks("channel %s is gone", id)
			continue
		}
		if channel["address"] != now["address"] {
			d.breaks("channel %s has another address", id)
		}
		for _, m := range keys(at(channel, "messages")) {
			message, newMessage := d.follow(at(channel, "messages", m), d.before), d.follow(at(now, "messages", m), d.after)
			if newMessage == nil {
				d.breaks("channel %s: message %s is gone", id, m)
				continue
			}
			d.schema(m, at(message, "payload"), at(newMessage, "payload"), false)
		}
	}
	for _, id := range keys(at(d.before, "operations")) {
		if at(d.after, "operations", id) == nil {
			d.breaks("operation %s is gone", id)
		}
	}
}

// follow resolves a reference inside a document.
func (d *diff) follow(o, document object) object {
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	return at(document, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// at returns the object at a path, nil when there is none.
func at(o object, path ...string) object {
	for _, key := range path {
		o, _ = o[key].(object)
	}
	return o
}

func keys(o object) []string { return slices.Sorted(maps.Keys(o)) }

func list(x any) []any {
	l, _ := x.([]any)
	return l
}
