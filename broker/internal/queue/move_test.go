package queue

import (
	"bytes"
	"testing"
)

func TestAQueueMovesWithWhatIsHeldAndWhatArrivesMeanwhile(t *testing.T) {
	b := newBench(t, plain())
	b.publish("a", "b", "c", "d", "e")
	b.consume("X", Consumer{Prefetch: 2})
	b.expect("X:a X:b")
	b.fail(2)
	b.expect("X:b!")
	b.own(AppendSeal(nil, 1))
	b.own(AppendSeal(nil, 1)) // twice does no harm
	b.publish("f")            // all this is for the target
	b.ack(1)
	b.expect("")
	if b.q().Len() != 5 || !b.q().Sealed() || b.q().Exported() {
		t.Fatalf("%d messages, sealed %v", b.q().Len(), b.q().Sealed())
	}

	to := newBench(t, plain())
	to.own(AppendDrop(nil, 1))
	b.disks[0].checkpoint(t, b.shard)
	b.q().slots.eachChunk(func(_ uint64, c *chunk) { b.q().slots.cool(c) })
	imports, missing := b.q().Export(1)
	if len(missing) != 1 || b.q().Exported() {
		t.Fatal("exported what was not in memory")
	}
	b.disks[0].load(t, b.q(), missing)
	rest, _ := b.q().Export(1)
	imports = append(imports, rest...)
	if len(imports) < 5 || !b.q().Exported() {
		t.Fatalf("%d imports", len(imports))
	}
	to.said(imports[0]) // a first attempt that broke off
	to.said(imports[1])
	to.consume("X", Consumer{Prefetch: 9}) // too early: it is not whole
	to.expect("")
	for _, c := range imports {
		to.said(c)
	}
	to.said(imports[0]) // late copies do no harm
	for _, c := range b.q().TakeKept() {
		to.said(c)
	}
	if len(b.q().TakeKept()) != 0 {
		t.Fatal("the same was forwarded twice")
	}
	to.consume("X", Consumer{Prefetch: 3}, Range{1, 2})
	to.expect("X:c X:d") // the old leader knew that they were never delivered
	if got := bodies(t, to.shard); got != "bcdef" {
		t.Fatalf("messages %q", got)
	}
	to.nack(2)
	to.expect("X:b!")

	b.own(AppendForwarded(nil, 1, 1))
	b.publish("g")
	if kept := b.q().TakeKept(); len(kept) != 1 || !bytes.Contains(kept[0], []byte("g")) {
		t.Fatalf("kept %q", kept)
	}
	b.expect("")
	b.disks[0].restore(t, b.shard, b.shard, b.disks[0])
	b.shard.Lead(true) // a leader that starts anew forwards again what it does not know to be taken
	if kept := b.q().TakeKept(); len(kept) != 2 {
		t.Fatalf("%d are kept", len(kept))
	}
}
