// Package cluster connects the nodes: one TCP stream for each peer and direction, all
// groups coalesced, and on it the failure detector. It also finds the cluster at
// start: form one, or join one.
package cluster

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Identity is what a node says of itself.
type Identity struct {
	Name        string
	Replica     uint64
	Incarnation uint64
	ClusterID   string // "" before it belongs to a cluster
	Addr        string // where other nodes dial it
}

// purpose says what a connection is for.
type purpose string

const (
	purposeStream purpose = "stream" // frames, one way
	purposeBulk   purpose = "bulk"   // one large frame, answered by a byte
	purposeCall   purpose = "call"   // one request, one reply
)

// hello opens a connection between nodes:
//
//	magic "WARREN" | version u16 | length u32 | JSON
//
// big-endian. Proof is the HMAC of the other fields under the cluster's secret.
type hello struct {
	Identity
	Purpose purpose
	To      uint64 // replica that frames are meant for; 0 of calls: whoever is there
	Sent    int64  // Unix milliseconds
	Proof   []byte
}

const (
	helloMagic    = "WARREN"
	helloVersion  = 2
	helloBytesMax = 4096
	helloTimeout  = 3 * time.Second
)

func (h *hello) proof(secret string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(m, "%q %d %d %q %q %q %d %d", h.Name, h.Replica, h.Incarnation, h.ClusterID, h.Addr, h.Purpose, h.To, h.Sent)
	return m.Sum(nil)
}

func writeHello(w io.Writer, h hello, secret string) error {
	h.Sent = time.Now().UnixMilli()
	h.Proof = h.proof(secret)
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	b := append([]byte(helloMagic), 0, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(b[len(helloMagic):], helloVersion)
	binary.BigEndian.PutUint32(b[len(helloMagic)+2:], uint32(len(body)))
	_, err = w.Write(append(b, body...))
	return err
}

var errSecret = errors.New("the other node has another cluster secret")

func readHello(r *bufio.Reader, secret string) (hello, error) {
	var h hello
	head := make([]byte, len(helloMagic)+6)
	if _, err := io.ReadFull(r, head); err != nil {
		return h, err
	}
	if string(head[:len(helloMagic)]) != helloMagic {
		return h, fmt.Errorf("not a Warren node: %q", head)
	}
	if v := binary.BigEndian.Uint16(head[len(helloMagic):]); v != helloVersion {
		return h, fmt.Errorf("peer protocol version %d, this node speaks %d", v, helloVersion)
	}
	n := binary.BigEndian.Uint32(head[len(helloMagic)+2:])
	if n > helloBytesMax {
		return h, fmt.Errorf("hello of %d bytes, at most %d", n, helloBytesMax)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return h, err
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return h, err
	}
	if !hmac.Equal(h.Proof, h.proof(secret)) {
		return h, errSecret
	}
	return h, nil
}

// Frames between nodes: length u32 (of what follows) | kind u8 | payload, big-endian.
const (
	frameHeadBytes = 5
	frameBytesMax  = 1 << 30
)

func appendFrame(b []byte, kind byte, payload ...[]byte) []byte {
	n := 1
	for _, p := range payload {
		n += len(p)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, kind)
	for _, p := range payload {
		b = append(b, p...)
	}
	return b
}

// readFrame returns a frame's kind and its payload, which is a buffer of its own.
func readFrame(r *bufio.Reader) (byte, []byte, error) {
	var head [frameHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > frameBytesMax {
		return 0, nil, fmt.Errorf("frame of %d bytes", n)
	}
	payload := make([]byte, n-1)
	_, err := io.ReadFull(r, payload)
	return head[4], payload, err
}

func setDeadline(c net.Conn, d time.Duration) { _ = c.SetDeadline(time.Now().Add(d)) }
