package contract

import (
	"fmt"
	"slices"
)

// schema compares what may be sent (a request) or what may be relied on (an answer, a message).
func (d *diff) schema(where string, before, after object, request bool) {
	if before == nil {
		return
	}
	pair := fmt.Sprint(before["$ref"], "|", after["$ref"], "|", request)
	if before["$ref"] != nil && d.seen[pair] {
		return
	}
	d.seen[pair] = true
	before, after = d.follow(before, d.before), d.follow(after, d.after)
	if after == nil {
		d.breaks("%s is not described any more", where)
		return
	}
	was, is := types(before), types(after)
	for _, t := range was {
		if request && !slices.Contains(is, t) {
			d.breaks("%s: %s is not accepted any more", where, t)
		}
	}
	for _, t := range is {
		if !request && len(was) > 0 && !slices.Contains(was, t) {
			d.breaks("%s: may be %s now", where, t)
		}
	}
	if before["format"] != after["format"] {
		d.breaks("%s: format was %v, is %v", where, before["format"], after["format"])
	}
	if request {
		d.narrowed(where, before, after)
	}
	d.members(where, before, after, request)
	d.schema(where+"[]", at(before, "items"), at(after, "items"), request)
}

// narrowed finds what was accepted and is not any more.
func (d *diff) narrowed(where string, before, after object) {
	allowed := list(after["enum"])
	switch was := list(before["enum"]); {
	case was == nil && allowed != nil:
		d.breaks("%s: only some values are accepted now", where)
	case allowed != nil:
		for _, v := range was {
			if !slices.Contains(allowed, v) {
				d.breaks("%s: %v is not accepted any more", where, v)
			}
		}
	}
	for _, k := range []string{"minimum", "minLength", "minItems"} {
		if limit, ok := after[k].(float64); ok {
			if was, had := before[k].(float64); !had || limit > was {
				d.breaks("%s: %s is %v now", where, k, limit)
			}
		}
	}
	for _, k := range []string{"maximum", "maxLength", "maxItems"} {
		if limit, ok := after[k].(float64); ok {
			if was, had := before[k].(float64); !had || limit < was {
				d.breaks("%s: %s is %v now", where, k, limit)
			}
		}
	}
	if after["pattern"] != nil && after["pattern"] != before["pattern"] {
		d.breaks("%s: pattern is %v now", where, after["pattern"])
	}
}

func (d *diff) members(where string, before, after object, request bool) {
	required, requiredNow := list(before["required"]), list(after["required"])
	for _, name := range keys(at(before, "properties")) {
		member, now := at(before, "properties", name), at(after, "properties", name)
		if now == nil {
			d.breaks("%s: %s is gone", where, name)
			continue
		}
		if !request && slices.Contains(required, any(name)) && !slices.Contains(requiredNow, any(name)) {
			d.breaks("%s: %s may be missing now", where, name)
		}
		d.schema(where+"."+name, member, now, request)
	}
	for _, name := range requiredNow {
		if request && !slices.Contains(required, name) {
			d.breaks("%s: %v is required now", where, name)
		}
	}
}

// types of a schema: one word, or a list of them.
func types(o object) []string {
	if t, ok := o["type"].(string); ok {
		return []string{t}
	}
	var out []string
	for _, t := range list(o["type"]) {
		if s, ok := t.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
