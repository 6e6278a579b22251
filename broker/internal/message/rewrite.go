package message

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// AppendWithHeaders appends to dst the property list raw with more headers; those of the
// same keys give way. Nothing else is decoded or changed. raw must have passed
// CheckProperties; dst and raw must not overlap.
func AppendWithHeaders(dst, raw []byte, more Table) []byte {
	flags := PeekFlags(raw)
	dst = binary.BigEndian.AppendUint16(dst, uint16(flags|HasHeaders))
	w, err := walk(raw)
	if err != nil {
		panic("message: rewrite of properties that were never checked: " + err.Error())
	}
	// Only content-type and content-encoding stand in front of the headers.
	tail := w.b
	var old []byte
	for w.todo&(HasContentType|HasContentEncoding|HasHeaders) != 0 && w.next() {
		if w.flag == HasHeaders {
			old, _, _ = cutLong(w.value)
			break
		}
		tail = w.b
	}
	if w.err != nil {
		panic("message: rewrite of properties that were never checked: " + w.err.Error())
	}
	if len(raw) > 0 {
		dst = append(dst, raw[2:len(raw)-len(tail)]...)
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendOthers(dst, old, more)
	for _, f := range more {
		dst = AppendField(dst, f)
	}
	return append(patchLength(dst, at), w.b...)
}

// appendOthers appends the fields of a table's body whose keys are not those of more.
func appendOthers(dst, body []byte, more Table) []byte {
	for len(body) > 0 {
		k, r, err := cutShort(body)
		if err != nil {
			panic("message: rewrite of properties that were never checked: " + err.Error())
		}
		r, err = skipValue(r, 1)
		if err != nil {
			panic("message: rewrite of properties that were never checked: " + err.Error())
		}
		if !slices.ContainsFunc(more, func(f Field) bool { return f.Key == string(k) }) {
			dst = append(dst, body[:len(body)-len(r)]...)
		}
		body = r
	}
	return dst
}

// WithoutHeader returns the property list raw without a header: raw itself if it has
// none of that key. raw must have passed CheckProperties.
func WithoutHeader(raw []byte, key string) []byte {
	headers := PeekHeaders(raw)
	if headers == nil || !bytes.Contains(headers, []byte(key)) {
		return raw
	}
	if _, ok := FindField(headers, key); !ok {
		return raw
	}
	p, err := ParseProperties(raw)
	if err != nil {
		panic("message: rewrite of properties that were never checked: " + err.Error())
	}
	p.Headers = p.Headers.Without(key)
	return p.Append(nil)
}
