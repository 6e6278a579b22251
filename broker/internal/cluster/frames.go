package cluster

import (
	"encoding/binary"
	"net"
)

// stream is frames that wait to be written. Large parts are not copied: they stand beside
// buf, and nobody may change them any more.
type stream struct {
	buf  []byte
	refs []partRef
	size int // of all
}

type partRef struct {
	at   int // behind so many bytes of buf
	part []byte
}

const (
	refBytesMin   = 8 << 10 // a part of its own costs less than a copy
	streamKeptMax = 4 << 20 // of an emptied buffer that is used again
)

func (s *stream) add(kind byte, payload ...[]byte) {
	n := 1
	for _, p := range payload {
		n += len(p)
	}
	s.size += 4 + n
	s.buf = append(binary.BigEndian.AppendUint32(s.buf, uint32(n)), kind)
	for _, p := range payload {
		if len(p) < refBytesMin {
			s.buf = append(s.buf, p...)
		} else {
			s.refs = append(s.refs, partRef{len(s.buf), p})
		}
	}
}

func (s *stream) reset() {
	clear(s.refs)
	s.buf, s.refs, s.size = s.buf[:0], s.refs[:0], 0
	if cap(s.buf) > streamKeptMax {
		s.buf = nil
	}
}

func (s *stream) writeTo(c net.Conn) error {
	if len(s.refs) == 0 {
		_, err := c.Write(s.buf)
		return err
	}
	bufs, from := make(net.Buffers, 0, 2*len(s.refs)+1), 0
	for _, r := range s.refs {
		bufs, from = append(bufs, s.buf[from:r.at], r.part), r.at
	}
	bufs = append(bufs, s.buf[from:])
	_, err := bufs.WriteTo(c)
	return err
}
