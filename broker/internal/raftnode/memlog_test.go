package raftnode

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"
)

func entries(term, from, to uint64) (es []*raftpb.Entry) {
	for i := from; i <= to; i++ {
		es = append(es, newEntry(raftpb.EntryNormal, term, i, []byte{byte(term), byte(i)}))
	}
	return es
}

func TestMemLogEdges(t *testing.T) {
	l := &memLog{}
	l.reset(10, 3)
	l.append(entries(4, 11, 20))
	for _, c := range []struct {
		index, term uint64
		err         error
	}{
		{9, 0, raft.ErrCompacted}, {10, 3, nil}, {11, 4, nil}, {20, 4, nil}, {21, 0, raft.ErrUnavailable},
	} {
		if term, err := l.Term(c.index); term != c.term || !errors.Is(err, c.err) {
			t.Errorf("term of %d: %d, %v; want %d, %v", c.index, term, err, c.term, c.err)
		}
	}
	if _, err := l.Entries(10, 12, 100); !errors.Is(err, raft.ErrCompacted) {
		t.Errorf("entries from 10: %v", err)
	}
	if _, err := l.Entries(11, 22, 100); !errors.Is(err, raft.ErrUnavailable) {
		t.Errorf("entries to 21: %v", err)
	}
	if es, err := l.Entries(12, 21, 1); len(es) != 1 || err != nil || es[0].GetIndex() != 12 {
		t.Errorf("one entry at least: %v, %v", es, err)
	}
	// Over a conflict; what was handed out before stays as it was.
	before, _ := l.Entries(15, 18, 1<<20)
	l.append(entries(5, 16, 17))
	if l.last() != 17 || before[1].GetTerm() != 4 || l.bytes != 2*7 {
		t.Errorf("last %d, term %d, %d bytes", l.last(), before[1].GetTerm(), l.bytes)
	}
	l.trim(5)
	l.trim(13)
	if first, _ := l.FirstIndex(); first != 14 || l.term != 4 || l.bytes != 2*4 {
		t.Errorf("first %d, term %d, %d bytes", first, l.term, l.bytes)
	}
	l.trim(100)
	l.trim(100)
	if l.first != 17 || l.last() != 17 || l.term != 5 || l.bytes != 0 {
		t.Errorf("first %d, last %d, term %d", l.first, l.last(), l.term)
	}
	for _, es := range [][]*raftpb.Entry{entries(6, 19, 19), entries(6, 17, 18)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("entries from %d on were taken behind 17", es[0].GetIndex())
				}
			}()
			l.append(es)
		}()
	}
}

func TestMemLogIsALog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &memLog{}
		want := map[uint64]uint64{0: 0} // index → term
		first, last, term := uint64(0), uint64(0), uint64(1)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				from := rapid.Uint64Range(first+1, last+1).Draw(t, "from")
				n := rapid.Uint64Range(1, 5).Draw(t, "n")
				term++
				l.append(entries(term, from, from+n-1))
				for i := from; i < from+n; i++ {
					want[i] = term
				}
				last = from + n - 1
			},
			"trim": func(t *rapid.T) {
				first = rapid.Uint64Range(first, last).Draw(t, "index")
				l.trim(first)
			},
			"reset": func(t *rapid.T) {
				first = rapid.Uint64Range(first, last+5).Draw(t, "index")
				last, want[first] = first, term
				l.reset(first, term)
			},
			"": func(t *rapid.T) {
				if l.first != first || l.last() != last {
					t.Fatalf("%d to %d, want %d to %d", l.first, l.last(), first, last)
				}
				size := 0
				for i := first; i <= last; i++ {
					if got, err := l.Term(i); got != want[i] || err != nil {
						t.Fatalf("term of %d: %d, %v; want %d", i, got, err, want[i])
					}
					size += 2
				}
				if l.bytes != size-2 {
					t.Fatalf("%d bytes, want %d", l.bytes, size-2)
				}
			},
		})
	})
}
