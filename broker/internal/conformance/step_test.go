package conformance

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/warren-mq/warren/broker/internal/amqp"
)

// do performs a step, and returns the lines that belong to it by themselves.
func (k *talk) do(s *step) ([]string, error) {
	line := strings.ReplaceAll(s.text, "@", k.prefix)
	for name, alias := range k.made {
		line = strings.ReplaceAll(line, alias, name)
	}
	line = expand(line)
	name, args, _ := strings.Cut(line, " ")
	switch name {
	case "http":
		return k.http(args)
	case "pause":
		d, err := time.ParseDuration(args)
		time.Sleep(d)
		return nil, err
	}
	words := fields(args)
	c := k.conns[name]
	if c == nil {
		if words[0] == "open" {
			return k.open(name, words[1:], true)
		}
		if !k.row.manual && words[0] != "dial" {
			if _, err := k.open(name, nil, false); err != nil {
				return nil, err
			}
			c = k.conns[name]
		} else {
			var err error
			if c, err = dial(k.row, name, k.t.amqp, k.events); err != nil {
				return nil, err
			}
			k.conns[name] = c
		}
	}
	switch words[0] {
	case "dial":
		return nil, nil
	case "greet":
		h := amqp.Header()
		if err := c.write(h[:]); err != nil {
			return nil, err
		}
		_, err := k.await(c, 0, amqp.IDConnectionStart)
		return nil, err
	case "drop":
		c.closed = true
		return nil, c.net.Close()
	case "hex":
		b, err := splitBytes(words[1:])
		if err == nil {
			_ = c.write(b) // the broker may have closed: its answer tells
		}
		return nil, err
	case "frame":
		return nil, k.rawFrame(c, words[1:])
	}
	n, err := strconv.ParseUint(words[0], 10, 16)
	if err != nil {
		return nil, err
	}
	return nil, k.onChannel(c, uint16(n), words[1:])
}

// rawFrame sends a frame of any type.
func (k *talk) rawFrame(c *conn, words []string) error {
	v := map[string]string{}
	for _, w := range words {
		key, s, _ := strings.Cut(w, "=")
		v[key] = s
	}
	kind, _ := strconv.ParseUint(v["type"], 10, 8)
	channel, _ := strconv.ParseUint(v["channel"], 10, 16)
	payload, err := splitBytes([]string{v["payload"]})
	if err != nil {
		return err
	}
	b, at := amqp.BeginFrame(nil, uint8(kind), uint16(channel))
	b = amqp.EndFrame(append(b, payload...), at)
	if v["end"] != "" {
		end, err := strconv.ParseUint(v["end"], 16, 8)
		if err != nil {
			return err
		}
		b[len(b)-1] = byte(end)
	}
	_ = c.write(b) // the broker may have closed: its answer tells
	return nil
}

// onChannel sends a method, with content if it is one that has any, or a part of such.
func (k *talk) onChannel(c *conn, n uint16, words []string) error {
	if !k.row.manual && n > 0 && !c.channels[n] && words[0] != "channel.open" && !c.closed {
		if err := c.send(n, &amqp.ChannelOpen{}); err != nil {
			return nil //nolint:nilerr // closed: its answer tells
		}
		if _, err := k.await(c, int(n), amqp.IDChannelOpenOK); err != nil {
			return err
		}
	}
	var frames []byte
	switch words[0] {
	case "body":
		s, err := text(words[1])
		if err != nil {
			return err
		}
		frames = amqp.AppendBodyEnd(append(amqp.AppendBodyStart(nil, n, len(s)), s...))
	case "header":
		b, err := rawHeader(n, words[1:])
		if err != nil {
			return err
		}
		frames = b
	default:
		bare := words[0] == "method"
		if bare {
			words = words[1:]
		}
		m, r, err := buildMethod(words[0], words[1:])
		if err != nil {
			return err
		}
		frames = amqp.AppendMethod(nil, n, m)
		if m.ID() == amqp.IDBasicPublish && !bare {
			props, err := buildProperties(r)
			if err != nil {
				return err
			}
			frames = appendContent(frames, n, props, r.other["body"])
			r.other = nil
		}
		k.remember(m)
	}
	_ = c.write(frames) // the broker may have closed: its answer tells
	return nil
}

const bodyFrameMax = 131072 - amqp.FrameOverhead

func appendContent(b []byte, n uint16, props []byte, body string) []byte {
	b = amqp.AppendContent(b, n, len(body), props)
	for len(body) > 0 {
		part := body[:min(len(body), bodyFrameMax)]
		body = body[len(part):]
		b = amqp.AppendBodyEnd(append(amqp.AppendBodyStart(b, n, len(part)), part...))
	}
	return b
}

// rawHeader makes a content header whose class, weight, size and flags are as given.
func rawHeader(n uint16, words []string) ([]byte, error) {
	r := rest{other: map[string]string{"class": "60", "weight": "0", "size": "0"}}
	for _, w := range words {
		key, s, _ := strings.Cut(w, "=")
		r.other[key] = s
	}
	class, err1 := strconv.ParseUint(r.other["class"], 10, 16)
	weight, err2 := strconv.ParseUint(r.other["weight"], 10, 16)
	size, err3 := strconv.ParseUint(r.other["size"], 10, 64)
	props, err4 := buildProperties(r)
	if raw, ok := r.other["raw"]; ok {
		props, err4 = splitBytes([]string{raw})
	}
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return nil, err
		}
	}
	b, at := amqp.BeginFrame(nil, amqp.FrameHeader, n)
	b = append(b, byte(class>>8), byte(class), byte(weight>>8), byte(weight))
	for i := 56; i >= 0; i -= 8 {
		b = append(b, byte(size>>i))
	}
	return amqp.EndFrame(append(b, props...), at), nil
}

// open opens a connection. tell says that the row wants to see it succeed.
func (k *talk) open(name string, words []string, tell bool) ([]string, error) {
	v := map[string]string{}
	for _, w := range words {
		key, s, _ := strings.Cut(w, "=")
		v[key] = s
	}
	l, err := newLogin(v)
	if err != nil {
		return nil, err
	}
	c, err := dial(k.row, name, k.t.amqp, k.events)
	if err != nil {
		return nil, err
	}
	k.conns[name] = c
	h := amqp.Header()
	if err := c.write(h[:]); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		await amqp.MethodID
		send  []amqp.Method
	}{
		{amqp.IDConnectionStart, []amqp.Method{l.startOK()}},
		{amqp.IDConnectionTune, []amqp.Method{&l.tune, &amqp.ConnectionOpen{VirtualHost: l.vhost}}},
		{amqp.IDConnectionOpenOK, nil},
	} {
		if _, err := k.await(c, 0, step.await); err != nil {
			return nil, err
		}
		if c.closed {
			if !tell {
				return nil, fmt.Errorf("connection refused")
			}
			return nil, nil
		}
		for _, m := range step.send {
			if err := c.send(0, m); err != nil {
				return nil, err
			}
		}
	}
	if tell {
		return []string{name + " opened"}, nil
	}
	return nil, nil
}
