package stream

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"errors"
	"io"
	"testing"
)

func raw(payload string) Raw { return Raw{ID: "id", Headers: Headers{}, Payload: []byte(payload)} }

// The bytes are those that Spring AMQP's SimpleBatchingStrategy writes for "foo" and "barbaz".
const packedHex = "00000003" + "666f6f" + "00000006" + "62617262617a"

func TestPackedBytes(t *testing.T) {
	m := pack([]Raw{raw("foo"), raw("barbaz")})
	if got := hex.EncodeToString(m.Payload); got != packedHex {
		t.Errorf("got %s", got)
	}
	if m.Headers["springBatchFormat"] != "lengthHeader4" || m.Headers["amqp_batchSize"] != int32(2) {
		t.Errorf("headers %v", m.Headers)
	}
	if alone := pack([]Raw{raw("foo")}); string(alone.Payload) != "foo" || len(alone.Headers) != 0 {
		t.Errorf("one message travels plain, got %v", alone)
	}
	ms, err := unpack(m)
	if err != nil || len(ms) != 2 || string(ms[1].Payload) != "barbaz" || ms[0].ID != "id-0" || ms[1].ID != "id-1" || len(ms[0].Headers) != 0 {
		t.Errorf("%v %v", ms, err)
	}
	for _, bad := range []string{"", "000000", "00000004666f6f", "ffffffff66"} {
		b, _ := hex.DecodeString(bad)
		if _, err := unpack(Raw{Payload: b, Headers: Headers{"springBatchFormat": "lengthHeader4"}}); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	b, _ := hex.DecodeString(packedHex)
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		ms, err := unpack(Raw{Payload: data, Headers: Headers{"springBatchFormat": "lengthHeader4"}})
		if err != nil {
			return
		}
		if again := pack(ms); len(ms) > 1 && !bytes.Equal(again.Payload, data) {
			t.Errorf("%x became %x", data, again.Payload)
		}
	})
}

func TestCompression(t *testing.T) {
	m, err := compress(raw("text, text and text"), DefaultCompressionLevel)
	if err != nil || m.ContentEncoding != "gzip" || m.Headers["springAutoDecompress"] != true {
		t.Fatalf("%+v %v", m, err)
	}
	back, err := decompress(m)
	if err != nil || string(back.Payload) != "text, text and text" || back.ContentEncoding != "" || len(back.Headers) != 0 {
		t.Errorf("%+v %v", back, err)
	}
	other := raw("x")
	other.ContentEncoding = "utf-8"
	if m, err = compress(other, 9); err != nil || m.ContentEncoding != "gzip, utf-8" {
		t.Errorf("%+v %v", m, err)
	}
	if back, err = decompress(m); err != nil || back.ContentEncoding != "utf-8" {
		t.Errorf("%+v %v", back, err)
	}
}

func TestDecompressWhatOthersSend(t *testing.T) {
	var gz, zl, zp bytes.Buffer
	write := func(w io.WriteCloser) {
		_, err := w.Write([]byte("hello"))
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(gzip.NewWriter(&gz))
	write(zlib.NewWriter(&zl))
	z := zip.NewWriter(&zp)
	entry, err := z.Create("amqp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := entry.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, encoding string
		data           []byte
		auto           any
		want, left     string
	}{
		{"gzip", "gzip", gz.Bytes(), true, "hello", ""},
		{"gzip with another, colon", "gzip:utf-8", gz.Bytes(), true, "hello", "utf-8"},
		{"deflate", "deflate", zl.Bytes(), true, "hello", ""},
		{"zip", "zip", zp.Bytes(), true, "hello", ""},
		{"not asked to", "gzip", gz.Bytes(), nil, gz.String(), "gzip"},
		{"asked by a string", "gzip", gz.Bytes(), "true", gz.String(), "gzip"},
		{"unknown", "br", []byte("?"), true, "?", "br"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := decompress(Raw{ContentEncoding: c.encoding, Payload: c.data, Headers: Headers{"springAutoDecompress": c.auto}})
			if err != nil || string(m.Payload) != c.want || m.ContentEncoding != c.left {
				t.Errorf("%q %q %v", m.Payload, m.ContentEncoding, err)
			}
		})
	}
	for _, encoding := range []string{"gzip", "deflate", "zip"} {
		if _, err := decompress(Raw{ContentEncoding: encoding, Payload: []byte("no"), Headers: Headers{"springAutoDecompress": true}}); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%s: %v", encoding, err)
		}
	}
	bomb, err := compress(Raw{Headers: Headers{}, Payload: make([]byte, UnpackedBytesMax+1)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decompress(bomb); !errors.Is(err, ErrUndecodable) {
		t.Errorf("a bomb: %v", err)
	}
}

func TestHeaderPatterns(t *testing.T) {
	for _, c := range []struct {
		key      string
		patterns []string
		want     bool
	}{
		{"a", []string{"*"}, true}, {"abc", []string{"a*"}, true}, {"ABC", []string{"a*c"}, true}, {"abc", []string{"b*"}, false},
		{"abcbc", []string{"a*bc"}, true}, {"abc", []string{"*b*"}, true}, {"ac", []string{"*b*"}, false}, {"x-y", []string{"!x-*", "*"}, false},
		{"z", []string{"!x-*", "*"}, true}, {"z", []string{"!x-*"}, false},
	} {
		if got := mappable(c.key, c.patterns); got != c.want {
			t.Errorf("%s by %v: %v", c.key, c.patterns, got)
		}
	}
}
