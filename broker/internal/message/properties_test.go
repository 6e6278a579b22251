package message

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

func allProperties() Properties {
	return Properties{
		Flags:       0xfffc,
		ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: everyType(), DeliveryMode: Persistent, Priority: 7,
		CorrelationID: "c1", ReplyTo: "answers", Expiration: "60000", MessageID: "m1",
		Timestamp: 1700000000, Type: "t", UserID: "guest", AppID: "app", ClusterID: "",
	}
}

func TestPropertiesRoundTrip(t *testing.T) {
	full := allProperties()
	for drop := Flag(0); drop != 1; drop = nextFlag(drop) {
		in := full
		in.Flags &^= drop
		raw := in.Append(nil)
		if err := CheckProperties(raw); err != nil {
			t.Fatal(err)
		}
		out, err := ParseProperties(raw)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Append(nil), raw) {
			t.Errorf("without %04x: second encoding differs", drop)
		}
		if drop == 0 && !reflect.DeepEqual(in, out) {
			t.Errorf("got %+v\nwant %+v", out, in)
		}
		if out.Has(drop) && drop != 0 {
			t.Errorf("%04x came back", drop)
		}
	}
}

// nextFlag walks 0, content-type … cluster-id, 1.
func nextFlag(f Flag) Flag {
	switch f {
	case 0:
		return HasContentType
	case HasClusterID:
		return 1
	default:
		return f >> 1
	}
}

func TestPropertiesGoldenBytes(t *testing.T) {
	p := Properties{
		Flags: HasContentType | HasHeaders | HasDeliveryMode | HasExpiration, ContentType: "a/b",
		Headers: Table{{"k", true}}, DeliveryMode: 2, Expiration: "9",
	}
	want := "b100" + "03612f62" + "00000004016b7401" + "02" + "0139"
	if got := hex.EncodeToString(p.Append(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPropertiesErrors(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"one byte", "80", "too early"},
		{"second flags word", "8001" + "0161", "does not define"},
		{"undefined bit", "0002", "does not define"},
		{"short string beyond the end", "8000" + "0561", "too early"},
		{"timestamp beyond the end", "0040" + "00", "too early"},
		{"no delivery mode", "1000", "too early"},
		{"bad headers", "2000" + "0000000301613f", "headers: "},
		{"headers beyond the end", "2000" + "00000003", "exceeds"},
		{"bytes left", "1000" + "0203", "1 bytes follow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, err := hex.DecodeString(tt.raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseProperties(raw); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseProperties: %v, want %q", err, tt.want)
			}
			if err := CheckProperties(raw); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CheckProperties: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPeek(t *testing.T) {
	full := allProperties()
	raw := full.Append(nil)
	if !PeekPersistent(raw) || PeekPersistent(nil) || PeekPersistent([]byte{0, 0}) {
		t.Error("PeekPersistent")
	}
	if v, ok := PeekPriority(raw); v != 7 || !ok {
		t.Error("PeekPriority", v, ok)
	}
	if _, ok := PeekPriority([]byte{0, 0}); ok {
		t.Error("PeekPriority of none")
	}
	if v, ok := PeekExpiration(raw); string(v) != "60000" || !ok {
		t.Error("PeekExpiration", v, ok)
	}
	if v, ok := PeekShort(raw, HasReplyTo); string(v) != "answers" || !ok {
		t.Error("PeekShort", v, ok)
	}
	if v, ok := PeekShort(raw, HasClusterID); len(v) != 0 || !ok {
		t.Error("PeekShort of an empty one", v, ok)
	}
	if _, ok := PeekShort(raw, HasHeaders); ok {
		t.Error("PeekShort of the headers")
	}
	if !bytes.Equal(PeekHeaders(raw), full.Headers.Append(nil)) {
		t.Error("PeekHeaders")
	}
	if PeekHeaders(nil) != nil {
		t.Error("PeekHeaders of nothing")
	}
	n := testing.AllocsPerRun(100, func() {
		PeekPersistent(raw)
		PeekPriority(raw)
		PeekExpiration(raw)
		PeekHeaders(raw)
		_ = CheckProperties(raw)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAppendWithHeaders(t *testing.T) {
	full := allProperties()
	tests := []struct {
		name string
		p    Properties
	}{
		{"no property", Properties{}},
		{"all", full},
		{"all but headers", Properties{Flags: full.Flags &^ HasHeaders, ContentType: "x", AppID: "y"}},
		{"only headers", Properties{Flags: HasHeaders, Headers: Table{{"n", int64(4)}, {"z", nil}}}},
		{"only what follows them", Properties{Flags: HasAppID, AppID: "a"}},
		{"only what precedes them", Properties{Flags: HasContentEncoding, ContentEncoding: "gzip"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := tt.p.Append(nil)
			got, err := ParseProperties(AppendWithHeaders([]byte("head"), raw, Table{{"n", int64(5)}})[4:])
			if err != nil {
				t.Fatal(err)
			}
			want, err := ParseProperties(raw)
			if err != nil {
				t.Fatal(err)
			}
			want.Flags |= HasHeaders
			want.Headers = append(want.Headers.Without("n"), Field{"n", int64(5)})
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
	if got := AppendWithHeaders(nil, nil, Table{{"n", true}}); CheckProperties(got) != nil {
		t.Errorf("of an empty list: %x", got)
	}
}

func FuzzProperties(f *testing.F) {
	f.Add(allProperties().Append(nil))
	f.Add([]byte{0, 0})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := ParseProperties(raw)
		if cerr := CheckProperties(raw); (cerr == nil) != (err == nil) {
			t.Fatalf("ParseProperties: %v, CheckProperties: %v", err, cerr)
		}
		PeekPersistent(raw)
		PeekPriority(raw)
		PeekExpiration(raw)
		PeekHeaders(raw)
		if err != nil {
			return
		}
		if v, ok := PeekPriority(raw); ok != p.Has(HasPriority) || v != p.Priority {
			t.Fatal("PeekPriority")
		}
		if err := CheckProperties(AppendWithHeaders(nil, raw, Table{{"x", int64(1)}})); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkPeekPersistent(b *testing.B) {
	raw := Properties{
		Flags: HasContentType | HasHeaders | HasDeliveryMode, ContentType: "application/json",
		Headers: Table{{"traceparent", strings.Repeat("a", 55)}}, DeliveryMode: 2,
	}.Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if !PeekPersistent(raw) {
			b.Fatal("not persistent")
		}
	}
}

func BenchmarkCheckProperties(b *testing.B) {
	raw := allProperties().Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckProperties(raw); err != nil {
			b.Fatal(err)
		}
	}
}
