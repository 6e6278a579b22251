package management

import (
	"encoding/json"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestEncoder compares with encoding/json whatever answers can be made of.
func TestEncoder(t *testing.T) {
	leaf := rapid.OneOf(
		rapid.Just(any(nil)), rapid.Map(rapid.Bool(), toAny), rapid.Map(rapid.String(), toAny), rapid.Map(rapid.Int(), toAny),
		rapid.Map(rapid.Int64(), toAny), rapid.Map(rapid.Uint64(), toAny), rapid.Map(rapid.Uint16(), toAny), rapid.Map(rapid.Float64(), toAny),
		rapid.Map(rapid.SliceOf(rapid.String()), toAny), rapid.Just(any([]string(nil))), rapid.Just(any(map[string]any(nil))),
		rapid.SampledFrom([]any{0.0, math.Copysign(0, -1), 1e21, 1e-7, "<script>&\u2028\x7f\xff", []map[string]any(nil), struct{ A int }{1}}),
	)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		object := rapid.MapOf(rapid.String(), value(depth-1))
		return rapid.OneOf(leaf, rapid.Map(object, toAny), rapid.Map(rapid.SliceOf(object), toAny))
	}
	rapid.Check(t, func(t *rapid.T) {
		v := value(2).Draw(t, "value")
		var e encoder
		e.value(v)
		want, err := json.Marshal(v)
		if err != nil || e.err != nil || string(e.b) != string(want) || len(e.keys) != 0 {
			t.Fatalf("%s, want %s (%v, %v)", e.b, want, e.err, err)
		}
	})
	var e encoder
	if e.value(map[string]any{"a": math.NaN()}); e.err == nil {
		t.Error("NaN is a number")
	}
}

func toAny[T any](v T) any { return v }
