package proxy

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
)

func tcp(s string) *net.TCPAddr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	return a
}

func TestHeaders(t *testing.T) {
	v2 := func(verCommand, family byte, rest string) string {
		return binaryPrefix + string([]byte{verCommand, family, 0, byte(len(rest))}) + rest
	}
	four := "\xc0\x00\x02\x01\xc0\x00\x02\x02\xc8\x22\x16\x28"
	for _, c := range []struct {
		name, in, source, destination, err string
	}{
		{"v1 IPv4", "PROXY TCP4 192.0.2.1 192.0.2.2 51234 5672\r\n", "192.0.2.1:51234", "192.0.2.2:5672", ""},
		{"v1 IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "[2001:db8::1]:1", "[2001:db8::2]:65535", ""},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "", "", ""},
		{"v1 unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", "", ""},
		{"v1 wrong family", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "", "", "no address"},
		{"v1 other protocol", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "", "", "no address"},
		{"v1 no address", "PROXY TCP4 host 192.0.2.2 1 2\r\n", "", "", "host"},
		{"v1 port", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "", "", "65536"},
		{"v1 zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "", "", "no address"},
		{"v1 fields", "PROXY TCP4 192.0.2.1\r\n", "", "", "fields"},
		{"v1 no end", "PROXY TCP4 " + strings.Repeat("1", 120), "", "", "end of line"},
		{"v2 IPv4", v2(0x21, 0x11, four), "192.0.2.1:51234", "192.0.2.2:5672", ""},
		{"v2 with more behind", v2(0x21, 0x11, four+"\x04\x00\x01x"), "192.0.2.1:51234", "192.0.2.2:5672", ""},
		{"v2 IPv6", v2(0x21, 0x21, strings.Repeat("\x00", 15)+"\x01"+strings.Repeat("\x00", 15)+"\x02\x00\x07\x00\x08"), "[::1]:7", "[::2]:8", ""},
		{"v2 local", v2(0x20, 0x00, ""), "", "", ""},
		{"v2 unix", v2(0x21, 0x31, strings.Repeat("x", 216)), "", "", ""},
		{"v2 too few", v2(0x21, 0x11, "1234"), "", "", "no two addresses"},
		{"v2 command", v2(0x22, 0x11, four), "", "", "command 2 is unknown"},
		{"v2 version", v2(0x31, 0x11, four), "", "", "version 3 is unknown"},
		{"v2 length", binaryPrefix + "\x21\x11\xff\xff", "", "", "at most 4096"},
		{"v2 signature", binaryPrefix[:11] + "x\x21\x11\x00\x00", "", "", "signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !Detected([]byte(c.in)) {
				t.Error("not detected")
			}
			h, n, err := Parse([]byte(c.in + "AMQP"))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %s", err, c.err)
				}
				return
			}
			text := func(a *net.TCPAddr) string {
				if a == nil {
					return ""
				}
				return a.String()
			}
			if err != nil || n != len(c.in) || text(h.Source) != c.source || text(h.Destination) != c.destination {
				t.Fatalf("%+v, %d bytes of %d, %v", h, n, len(c.in), err)
			}
			for i := SniffBytes; i < len(c.in); i++ {
				if _, _, err := Parse([]byte(c.in[:i])); !errors.Is(err, ErrShort) {
					t.Fatalf("%d bytes: %v", i, err)
				}
			}
		})
	}
	for _, other := range []string{"AMQP\x00\x00\x09\x01", "\x16\x03\x01\x02\x00\x01\x00\x01", "GET / HTTP", "PROXYING"} {
		if Detected([]byte(other)) {
			t.Errorf("%q is taken for a header", other)
		}
	}
}

func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name                string
		source, destination net.Addr
		want                Header
	}{
		{"IPv4", tcp("192.0.2.1:5"), tcp("192.0.2.2:6"), Header{tcp("192.0.2.1:5"), tcp("192.0.2.2:6")}},
		{"IPv6", tcp("[::1]:5"), tcp("[::2]:6"), Header{tcp("[::1]:5"), tcp("[::2]:6")}},
		{"mixed", tcp("192.0.2.1:5"), tcp("[::2]:6"), Header{tcp("192.0.2.1:5"), tcp("[::2]:6")}},
		{"no TCP", &net.UnixAddr{Name: "x"}, tcp("[::2]:6"), Header{}},
	} {
		b := Append(nil, c.source, c.destination)
		h, n, err := Parse(b)
		same := func(a, b *net.TCPAddr) bool { return a == b || a != nil && b != nil && a.String() == b.String() }
		if err != nil || n != len(b) || !same(h.Source, c.want.Source) || !same(h.Destination, c.want.Destination) {
			t.Errorf("%s: %+v, %v", c.name, h, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 51234 5672\r\nAMQP"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add(Append(nil, tcp("192.0.2.1:5"), tcp("192.0.2.2:6")))
	f.Add(Append(nil, tcp("[::1]:5"), tcp("[::2]:6")))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		if err != nil {
			if errors.Is(err, ErrShort) && len(b) >= HeaderBytesMax {
				t.Fatalf("%d bytes and no end", len(b))
			}
			return
		}
		if n <= 0 || n > len(b) || n > HeaderBytesMax || (h.Source == nil) != (h.Destination == nil) {
			t.Fatalf("%d bytes of %d: %+v", n, len(b), h)
		}
		if h.Source == nil {
			return
		}
		again, _, err := Parse(Append(bytes.Clone(b[:0]), h.Source, h.Destination))
		if err != nil || !again.Source.IP.Equal(h.Source.IP) || again.Destination.Port != h.Destination.Port {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
