// Package proxy reads and writes the headers of the PROXY protocol, versions 1 and 2: a
// proxy says in them whose connection it passes on.
package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

const (
	// HeaderBytesMax limits a header, with what version 2 may append to the addresses.
	HeaderBytesMax = 4096
	// SniffBytes are enough to tell a header from all else that begins a connection.
	SniffBytes = 8

	textBytesMax = 107 // version 1's own limit
	prefixBytes  = 16  // version 2 up to the addresses
)

const (
	textPrefix   = "PROXY "
	binaryPrefix = "\r\n\r\n\x00\r\nQUIT\n"
)

// ErrShort says that more of the header must be read.
var ErrShort = errors.New("the header goes on")

// Header is what a proxy says. Both addresses are nil if it speaks for itself, as in a
// health check, or does not know: then those of the socket count.
type Header struct {
	Source, Destination *net.TCPAddr
}

// Detected reports whether b, of SniffBytes or more, begins with a header.
func Detected(b []byte) bool {
	return bytes.HasPrefix(b, []byte(textPrefix)) || bytes.HasPrefix(b, []byte(binaryPrefix[:SniffBytes]))
}

// Parse reads the header at the beginning of b and returns its length in bytes.
func Parse(b []byte) (h Header, n int, err error) {
	if bytes.HasPrefix(b, []byte(textPrefix)) {
		return parseText(b)
	}
	return parseBinary(b)
}

// parseText reads version 1:
//
//	PROXY TCP4 192.0.2.1 192.0.2.2 51234 5672\r\n
//	PROXY UNKNOWN …\r\n
func parseText(b []byte) (Header, int, error) {
	line, _, ended := bytes.Cut(b[:min(len(b), textBytesMax)], []byte("\r\n"))
	if !ended {
		if len(b) < textBytesMax {
			return Header{}, 0, ErrShort
		}
		return Header{}, 0, fmt.Errorf("no end of line within %d bytes", textBytesMax)
	}
	n := len(line) + len("\r\n")
	fields := strings.Split(string(line), " ")
	if fields[1] == "UNKNOWN" {
		return Header{}, n, nil
	}
	if len(fields) != 6 {
		return Header{}, 0, fmt.Errorf("%d fields, want 6", len(fields))
	}
	var ends [2]*net.TCPAddr
	for i := range ends {
		a, err := netip.ParseAddrPort(net.JoinHostPort(fields[2+i], fields[4+i]))
		if err != nil {
			return Header{}, 0, err
		}
		if a.Addr().Zone() != "" || fields[1] != map[bool]string{true: "TCP4", false: "TCP6"}[a.Addr().Is4()] {
			return Header{}, 0, fmt.Errorf("%s is no address of %q", a.Addr(), fields[1])
		}
		ends[i] = net.TCPAddrFromAddrPort(a)
	}
	return Header{ends[0], ends[1]}, n, nil
}

// Version 2's command and families, as far as they matter here.
const (
	version2     = 0x20
	commandLocal = 0x0
	commandProxy = 0x1
	familyTCP4   = 0x11
	familyTCP6   = 0x21
)

// parseBinary reads version 2:
//
//	signature 12 | version, command u8 | family u8 | length u16, big-endian | source,
//	destination, source port, destination port | more, of no interest
func parseBinary(b []byte) (Header, int, error) {
	if k := min(len(b), len(binaryPrefix)); string(b[:k]) != binaryPrefix[:k] {
		return Header{}, 0, errors.New("wrong signature")
	}
	if len(b) < prefixBytes {
		return Header{}, 0, ErrShort
	}
	if b[12]&0xf0 != version2 {
		return Header{}, 0, fmt.Errorf("version %d is unknown", b[12]>>4)
	}
	n := prefixBytes + int(binary.BigEndian.Uint16(b[14:]))
	if n > HeaderBytesMax {
		return Header{}, 0, fmt.Errorf("%d bytes, at most %d are taken", n, HeaderBytesMax)
	}
	if len(b) < n {
		return Header{}, 0, ErrShort
	}
	switch b[12] & 0xf {
	case commandLocal:
		return Header{}, n, nil
	case commandProxy:
	default:
		return Header{}, 0, fmt.Errorf("command %d is unknown", b[12]&0xf)
	}
	size := 0
	switch b[13] {
	case familyTCP4:
		size = net.IPv4len
	case familyTCP6:
		size = net.IPv6len
	default:
		return Header{}, n, nil // not TCP: the proxy has no address that would help
	}
	a := b[prefixBytes:n]
	if len(a) < 2*size+4 {
		return Header{}, 0, fmt.Errorf("%d bytes hold no two addresses", len(a))
	}
	end := func(i int) *net.TCPAddr {
		return &net.TCPAddr{IP: bytes.Clone(a[i*size : (i+1)*size]), Port: int(binary.BigEndian.Uint16(a[2*size+2*i:]))}
	}
	return Header{end(0), end(1)}, n, nil
}

// Append appends a header of version 2 to b. Addresses that are not TCP's, or not of one
// family, are not told.
func Append(b []byte, source, destination net.Addr) []byte {
	b = append(b, binaryPrefix...)
	s, ok1 := source.(*net.TCPAddr)
	d, ok2 := destination.(*net.TCPAddr)
	if !ok1 || !ok2 {
		return append(b, version2|commandLocal, 0, 0, 0)
	}
	family, from, to := byte(familyTCP4), s.IP.To4(), d.IP.To4()
	if from == nil || to == nil {
		family, from, to = familyTCP6, s.IP.To16(), d.IP.To16()
	}
	b = append(b, version2|commandProxy, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(from)+len(to)+4))
	b = append(append(b, from...), to...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, uint16(s.Port)), uint16(d.Port))
}
