package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/broker/brokertest"
)

// wellFormed fails unless text is XML, and counts its elements of a name.
func wellFormed(t *testing.T, text []byte, name string) (n int) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, text)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == name {
			n++
		}
	}
}

func TestDraw(t *testing.T) {
	for _, points := range [][]point{
		nil,
		{{At: 1}},
		{{At: 1, Sent: 100, ConfirmP99: time.Second}, {At: 2, Sent: 1e6, Received: 12.5}},
	} {
		var b bytes.Buffer
		draw(&b, points)
		if n := wellFormed(t, b.Bytes(), "polyline"); n != 7 {
			t.Errorf("%d lines of %d points, want 7", n, len(points))
		}
		if s := b.String(); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
			t.Errorf("bad numbers: %s", s)
		}
	}
}

func TestPlotOfRun(t *testing.T) {
	url := brokertest.Start(t).URL()
	path := filepath.Join(t.TempDir(), "run.html")
	r := measure(t, "-h", url, "-C", "60", "--variable-rate", "100:0.3,0:0.2,200:1", "-i", "100ms", "--plot", path)
	if r.Received != 60 || r.Seconds < 0.6 {
		t.Errorf("%+v", r)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	picture := b[bytes.Index(b, []byte("<svg")) : bytes.Index(b, []byte("</svg>"))+len("</svg>")]
	if wellFormed(t, picture, "polyline") != 7 || !bytes.HasPrefix(b, []byte("<!DOCTYPE html>")) {
		t.Errorf("the plot: %s", b)
	}
}

func TestConsumerRate(t *testing.T) {
	url := brokertest.Start(t).URL()
	r := measure(t, "-h", url, "-C", "30", "-R", "60")
	if r.Received != 30 || r.Consume.Max < 300 {
		t.Errorf("30 messages at 60 a second: %+v", r)
	}
}
