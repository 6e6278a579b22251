package server

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/warren-mq/warren/broker/internal/amqp"
)

// TestUnackedAgainstModel settles at random and compares with a plain map.
func TestUnackedAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var u unacked
		model := map[uint64]uint64{} // tag to seq
		c := new(consumer)
		check := func(d held) {
			if seq, ok := model[d.tag]; !ok || seq != d.seq || d.c != c {
				t.Fatalf("seed %d: settled %+v, model has %d, %t", seed, d, seq, ok)
			}
			delete(model, d.tag)
		}
		for i := range uint64(3000) {
			tag := u.last - min(u.last, r.Uint64N(40))
			switch r.IntN(10) {
			case 0:
				u.tag()
			case 1:
				_, want := model[tag]
				before := u.n
				got := u.takeTo(tag, check)
				if got != want || !got && u.n != before {
					t.Fatalf("seed %d: takeTo(%d) = %t", seed, tag, got)
				}
				for m := range model {
					if got && m <= tag {
						t.Fatalf("seed %d: takeTo(%d) left %d", seed, tag, m)
					}
				}
			case 2, 3, 4:
				_, want := model[tag]
				d, got := u.take(tag)
				if got != want {
					t.Fatalf("seed %d: take(%d) = %t", seed, tag, got)
				}
				if got {
					check(d)
				}
			default:
				model[u.hold(c, i, 0)] = i
			}
			if u.n != len(model) {
				t.Fatalf("seed %d: %d unacked, model has %d", seed, u.n, len(model))
			}
		}
		u.takeAll(check)
		if len(model) != 0 || u.n != 0 || len(u.list) != 0 {
			t.Fatalf("seed %d: %d left", seed, len(model))
		}
	}
}

// TestConfirmsAgainstModel settles publishes in random order, many a turn, and checks
// that the client learns each exactly once, and none before its time.
func TestConfirmsAgainstModel(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		s := &session{pkt: new(packet)}
		ch := &channel{number: 1, confirms: new(confirms)}
		d := amqp.NewDecoder()
		var pending []uint64
		settled := map[uint64]bool{} // by the node: nack?
		told := map[uint64]bool{}    // by the frames
		frames := 0
		// Some clients tell their user in order, and take a frame for many as the word on
		// everything they have not told yet.
		next, early := uint64(1), map[uint64]bool{}
		tell := func(n uint64, nack bool) {
			if settled[n] != nack {
				t.Fatalf("seed %d: a client that counts takes %d for settled with nack %t", seed, n, nack)
			}
			next++
		}
		for n := uint64(1); n <= 2000 || len(pending) > 0; {
			for n <= 2000 && r.IntN(4) > 0 {
				pending = append(pending, n)
				n++
			}
			for len(pending) > 0 && r.IntN(5) > 0 {
				i := r.IntN(min(len(pending), 8))
				settled[pending[i]] = r.IntN(20) == 0
				s.confirm(ch, pending[i], settled[pending[i]])
				pending = slices.Delete(pending, i, i+1)
			}
			s.flushConfirms()
			for b := s.pkt.buf; len(b) > 0; {
				f, size, _, err := amqp.Next(b, amqp.FrameMinSize)
				if err != nil {
					t.Fatal(err)
				}
				b = b[size:]
				frames++
				m, err := d.Method(f.Payload)
				if err != nil {
					t.Fatal(err)
				}
				first, last, nack := uint64(0), uint64(0), false
				switch m := m.(type) {
				case *amqp.BasicNack:
					first, last, nack = m.DeliveryTag, m.DeliveryTag, true
				case *amqp.BasicAck:
					first, last = m.DeliveryTag, m.DeliveryTag
					if m.Multiple {
						first = 1
					}
				}
				if first < last {
					for next <= last {
						tell(next, nack)
					}
				} else {
					early[last] = nack
				}
				for was, ok := early[next]; ok; was, ok = early[next] {
					tell(next, was)
				}
				for i := first; i <= last; i++ {
					was, ok := settled[i]
					if !ok || !told[i] && was != nack {
						t.Fatalf("seed %d: told of %d (nack %t), settled %t (nack %t)", seed, i, nack, ok, was)
					}
					if told[i] && first == last {
						t.Fatalf("seed %d: told twice of %d", seed, i)
					}
					told[i] = true
				}
			}
			s.pkt.buf = s.pkt.buf[:0]
		}
		if len(told) != 2000 {
			t.Fatalf("seed %d: told of %d publishes", seed, len(told))
		}
		if frames > 1900 {
			t.Errorf("seed %d: %d frames, nothing was batched", seed, frames)
		}
		if len(ch.confirms.done.words) > 2 {
			t.Errorf("seed %d: %d words kept", seed, len(ch.confirms.done.words))
		}
	}
}
