package stream

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Compression as Spring AMQP does it: a header says that the receiver shall unpack, the content encoding says how.
const (
	headerAutoDecompress = "springAutoDecompress"
	encodingGzip         = "gzip"
	encodingZip          = "zip"
	encodingDeflate      = "deflate"
	encodingDelimiter    = ", "
)

// UnpackedBytesMax bounds what a compressed message may become: a small one may hold a very large one.
const UnpackedBytesMax = 64 << 20

var gzipWriters [flate.BestCompression + 1]sync.Pool // by level

// compress packs the payload of m.
func compress(m Raw, level int) (Raw, error) {
	var b bytes.Buffer
	w, _ := gzipWriters[level].Get().(*gzip.Writer)
	if w == nil {
		var err error
		if w, err = gzip.NewWriterLevel(nil, level); err != nil {
			return m, fmt.Errorf("stream: compress: %w", err)
		}
	}
	defer gzipWriters[level].Put(w)
	w.Reset(&b)
	if _, err := w.Write(m.Payload); err != nil {
		return m, fmt.Errorf("stream: compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return m, fmt.Errorf("stream: compress: %w", err)
	}
	m.Payload = b.Bytes()
	if m.ContentEncoding == "" {
		m.ContentEncoding = encodingGzip
	} else {
		m.ContentEncoding = encodingGzip + encodingDelimiter + m.ContentEncoding
	}
	m.Headers[headerAutoDecompress] = true
	return m, nil
}

// decompress unpacks m if its header says so; the error wraps ErrUndecodable. Encodings that it does not know stay.
func decompress(m Raw) (Raw, error) {
	if auto, _ := m.Headers[headerAutoDecompress].(bool); !auto {
		return m, nil
	}
	encodings := strings.FieldsFunc(m.ContentEncoding, func(r rune) bool { return r == ',' || r == ':' || r == ' ' })
	if len(encodings) == 0 {
		return m, nil
	}
	var r io.Reader
	var err error
	switch encodings[0] {
	case encodingGzip:
		r, err = gzip.NewReader(bytes.NewReader(m.Payload))
	case encodingDeflate:
		r, err = zlib.NewReader(bytes.NewReader(m.Payload))
	case encodingZip:
		r, err = firstEntry(m.Payload)
	default:
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrUndecodable, encodings[0], err)
	}
	data, err := io.ReadAll(io.LimitReader(r, UnpackedBytesMax+1))
	switch {
	case err != nil:
		return m, fmt.Errorf("%w: %s: %w", ErrUndecodable, encodings[0], err)
	case len(data) > UnpackedBytesMax:
		return m, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrUndecodable, UnpackedBytesMax)
	}
	m.Payload = data
	m.ContentEncoding = strings.Join(encodings[1:], encodingDelimiter)
	m.Headers = m.Headers.Clone()
	delete(m.Headers, headerAutoDecompress)
	return m, nil
}

func firstEntry(data []byte) (io.Reader, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if len(z.File) == 0 {
		return nil, errors.New("the archive is empty")
	}
	return z.File[0].Open()
}
