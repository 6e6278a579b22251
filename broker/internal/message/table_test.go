package message

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// everyType holds one value of each type that a table can hold.
func everyType() Table {
	return Table{
		{"void", nil},
		{"true", true},
		{"int8", int8(-2)},
		{"uint8", uint8(200)},
		{"int16", int16(-300)},
		{"uint16", uint16(60000)},
		{"int32", int32(-70000)},
		{"uint32", uint32(4000000000)},
		{"int64", int64(-1 << 40)},
		{"float", float32(1.5)},
		{"double", 2.25},
		{"decimal", Decimal{Scale: 2, Value: -314}},
		{"string", "ünï"},
		{"bytes", []byte{0, 1, 2}},
		{"array", []any{"a", int32(1), []any{}, Table{{"k", "v"}}}},
		{"time", Timestamp(1700000000)},
		{"table", Table{{"inner", Table{{"deep", false}}}}},
		{"empty table", Table(nil)},
	}
}

func TestTableRoundTrip(t *testing.T) {
	in := everyType()
	if err := in.Check(); err != nil {
		t.Fatal(err)
	}
	wire := append(in.Append(nil), "rest"...)
	out, rest, err := ParseTable(wire)
	if err != nil {
		t.Fatal(err)
	}
	if string(rest) != "rest" {
		t.Errorf("rest = %q", rest)
	}
	if !reflect.DeepEqual(in, out) {
		t.Errorf("got %#v\nwant %#v", out, in)
	}
	if rest, err := CheckTable(wire); err != nil || string(rest) != "rest" {
		t.Errorf("CheckTable = %q, %v", rest, err)
	}
	for _, f := range in {
		v, ok := FindField(wire, f.Key)
		if !ok || !reflect.DeepEqual(v, f.Value) {
			t.Errorf("FindField(%s) = %#v, %t", f.Key, v, ok)
		}
	}
	if _, ok := FindField(wire, "absent"); ok {
		t.Error("found an absent field")
	}
}

func TestTableGoldenBytes(t *testing.T) {
	tests := []struct {
		name, hex string
		value     any
	}{
		{"void", "00000003" + "0161" + "56", nil},
		{"bool", "00000004" + "0161" + "7401", true},
		{"int8", "00000004" + "0161" + "62ff", int8(-1)},
		{"uint8", "00000004" + "0161" + "42ff", uint8(255)},
		{"int16", "00000005" + "0161" + "73fffe", int16(-2)},
		{"uint16", "00000005" + "0161" + "750102", uint16(258)},
		{"int32", "00000007" + "0161" + "49ffffffff", int32(-1)},
		{"uint32", "00000007" + "0161" + "6900000001", uint32(1)},
		{"int64", "0000000b" + "0161" + "6c0000000000000001", int64(1)},
		{"float", "00000007" + "0161" + "663f800000", float32(1)},
		{"double", "0000000b" + "0161" + "643ff0000000000000", float64(1)},
		{"decimal", "00000008" + "0161" + "44020000013a", Decimal{2, 314}},
		{"long string", "00000009" + "0161" + "53000000026869", "hi"},
		{"byte array", "00000009" + "0161" + "78000000026869", []byte("hi")},
		{"timestamp", "0000000b" + "0161" + "540000000000000002", Timestamp(2)},
		{"array", "0000000a" + "0161" + "410000000356" + "7400", []any{nil, false}},
		{"table", "0000000b" + "0161" + "46000000040162" + "7401", Table{{"b", true}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Table{{"a", tt.value}}
			if got := hex.EncodeToString(in.Append(nil)); got != tt.hex {
				t.Errorf("Append = %s, want %s", got, tt.hex)
			}
			wire, err := hex.DecodeString(tt.hex)
			if err != nil {
				t.Fatal(err)
			}
			out, _, err := ParseTable(wire)
			if err != nil || !reflect.DeepEqual(out, in) {
				t.Errorf("ParseTable = %#v, %v", out, err)
			}
		})
	}
}

func TestParseTableErrors(t *testing.T) {
	deep := Table{}
	for range tableDepthMax {
		deep = Table{{"t", deep}}
	}
	var array any
	for range tableDepthMax {
		array = []any{array}
	}
	tests := []struct {
		name, wire, want string
	}{
		{"no length", "\x00\x00", "too early"},
		{"length beyond the end", "\x00\x00\x00\x05ab", "exceeds the 2"},
		{"key beyond the end", "\x00\x00\x00\x02\x05a", "too early"},
		{"no value", "\x00\x00\x00\x02\x01a", "too early"},
		{"value beyond the end", "\x00\x00\x00\x03\x01aI", "too early"},
		{"unknown type", "\x00\x00\x00\x03\x01a?", `field "a": unknown field type '?'`},
		{"string beyond the end", "\x00\x00\x00\x07\x01aS\xff\xff\xff\xff", "exceeds"},
		{"element beyond the end", "\x00\x00\x00\x08\x01aA\x00\x00\x00\x01I", "too early"},
		{"nested tables", string(deep.Append(nil)), "nested deeper"},
		{"nested arrays", string(Table{{"a", array}}.Append(nil)), "nested deeper"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ParseTable([]byte(tt.wire))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseTable: %v, want %q", err, tt.want)
			}
			if _, err := CheckTable([]byte(tt.wire)); err == nil {
				t.Error("CheckTable accepts it")
			}
			if _, ok := FindField([]byte(tt.wire), "a"); ok && tt.name != "nested arrays" {
				t.Error("FindField found something")
			}
		})
	}
}

func TestTableCheck(t *testing.T) {
	deep := Table{}
	for range tableDepthMax {
		deep = Table{{"t", deep}}
	}
	tests := []struct {
		name string
		t    Table
		want string
	}{
		{"int", Table{{"a", 1}}, "type int has no form"},
		{"inside an array", Table{{"a", []any{nil, uint64(1)}}}, "element 1: type uint64"},
		{"inside a table", Table{{"a", Table{{"b", struct{}{}}}}}, `field "a": field "b"`},
		{"long key", Table{{strings.Repeat("k", 256), nil}}, "256 bytes"},
		{"depth", deep, "nested deeper"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.t.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestTableEdits(t *testing.T) {
	a := Table{{"x", int32(1)}, {"y", "two"}}
	b := a.Set("x", int32(3)).Set("z", nil)
	if v, _ := a.Get("x"); v != int32(1) {
		t.Error("Set changed its receiver")
	}
	if !b.Equal(Table{{"x", int32(3)}, {"y", "two"}, {"z", nil}}) {
		t.Errorf("Set: %v", b)
	}
	c := b.Without("y")
	if _, ok := c.Get("y"); ok || len(b) != 3 || len(c) != 2 {
		t.Errorf("Without: %v of %v", c, b)
	}
	if a.Equal(Table{{"x", int64(1)}, {"y", "two"}}) {
		t.Error("tables of different types are equal")
	}
}

func FuzzTable(f *testing.F) {
	f.Add(everyType().Append(nil))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		table, rest, err := ParseTable(b)
		if _, cerr := CheckTable(b); (cerr == nil) != (err == nil) {
			t.Fatalf("ParseTable: %v, CheckTable: %v", err, cerr)
		}
		if err != nil {
			return
		}
		if err := table.Check(); err != nil {
			t.Fatal(err)
		}
		wire := table.Append(nil)
		again, _, err := ParseTable(wire)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Append(nil), wire) {
			t.Fatal("second encoding differs")
		}
		if len(wire) != len(b)-len(rest) {
			t.Fatalf("encoded %d bytes, parsed %d", len(wire), len(b)-len(rest))
		}
	})
}

func BenchmarkParseTable(b *testing.B) {
	wire := Table{{"x-match", "all"}, {"tenant", "north"}, {"n", int64(7)}}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseTable(wire); err != nil {
			b.Fatal(err)
		}
	}
}
