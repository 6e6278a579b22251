package expr_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
)

func order() stream.Raw {
	return stream.Raw{
		ID: "m-1", Priority: 3, CorrelationID: "c",
		Headers: stream.Headers{"type": "placed", "n": int32(7), "big": int64(1) << 40, "raw": []byte("bytes"), "ok": true, "map": stream.Headers{"k": "v"}},
		Payload: []byte(`{"id":42,"customer":{"name":"Ann O'Hara","tags":["a","b"]},"total":12.5,"none":null}`),
	}
}

func TestEval(t *testing.T) {
	for text, want := range map[string]any{
		`'fixed'`: "fixed", `"two"`: "two", `'it''s'`: "it's", `12`: int64(12), `12L`: int64(12), `1.5`: 1.5, `true`: true, `null`: nil,
		`headers['type']`: "placed", `headers.type`: "placed", `headers["n"]`: int64(7), `headers['no']`: nil, `headers.raw`: "bytes", `headers.map.k`: "v",
		`headers['amqp_correlationId']`: "c", `headers.priority + 1`: int64(4), `headers['id']`: "m-1",
		`payload.id`: int64(42), `payload['id']`: int64(42), `payload.customer.name`: "Ann O'Hara", `payload.customer.tags[1]`: "b",
		`payload.customer.tags[9]`: nil, `payload?.no?.such`: nil, `payload.none`: nil, `payload.total * 2`: 25.0,
		`'order.' + headers['type'] + '.' + payload.id`: "order.placed.42", `1 + 2 + 'x'`: "3x", `'x' + null`: "xnull",
		`payload.id % 3`: int64(0), `7 / 2`: int64(3), `7 mod 4`: int64(3), `-headers.n`: int64(-7), `2 + 3 * 4 - 1`: int64(13), `(2 + 3) * 4`: int64(20),
		`headers.type == 'placed' ? 'a' : 'b'`: "a", `headers.no ?: 'else'`: "else", `headers.type ?: 'else'`: "placed",
		`headers.n > 5 && payload.total le 12.5`: true, `headers.n lt 5 or not headers.ok`: false, `!headers.ok`: false, `1 == 1.0`: true, `'a' < 'b'`: true,
		`headers.type != 'placed'`: false, `headers.type matches 'pl.*'`: true, `headers.type matches 'pl'`: false, `headers.no matches '.*'`: false,
		`false && payload.total`: false, `true ? false ? 1 : 2 : 3`: int64(2),
	} {
		e, err := expr.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := e.Eval(expr.Of(order())); err != nil || fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", want, want) {
			t.Errorf("%s is %T %v, want %T %v (%v)", text, got, got, want, want, err)
		}
	}
}

func TestMistakesAreFoundAtStart(t *testing.T) {
	for text, want := range map[string]string{
		``: "the end at 1, a value is expected", `headers[`: "a value is expected", `headers['k'`: "']' is expected", `'open`: "has no end",
		`payload.`: "a name is expected", `T(java.lang.Runtime)`: "T at 1 is unknown", `payload.id.toString()`: "there are no methods", `a + b`: "a at 1 is unknown",
		`1 2`: "an operator or the end is expected", `@bean.x`: "has no meaning", `1 ? 2`: "':' is expected", `'x' matches '('`: "missing closing",
		`'x' matches headers.k`: "in quotes", `#root`: "has no meaning", strings.Repeat("(", 100): "nested deeper", strings.Repeat("!", 100) + "true": "nested deeper",
		strings.Repeat("1+", 3000) + "1": "at most 4096", `99999999999999999999999x`: "an operator or the end",
	} {
		if _, err := expr.Compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30s: %v, want %s", text, err, want)
		}
	}
}

func TestMistakesOfMessages(t *testing.T) {
	for _, text := range []string{`headers`, `payload + 1`, `-headers.type`, `1 / 0`, `headers.type < 1`, `headers.type && true`, `true && 1`, `1 ? 2 : 3`, `headers[1]`} {
		e, err := expr.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if v, err := e.Eval(expr.Of(order())); err == nil {
			t.Errorf("%s is %v", text, v)
		}
	}
}

func TestTyped(t *testing.T) {
	m := expr.Of(order())
	must := func(text string) *expr.Expr {
		e, err := expr.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if s, err := must("payload.id").Text(m); s != "42" || err != nil {
		t.Error(s, err)
	}
	if _, err := must("payload.none").Text(m); err == nil {
		t.Error("null is text")
	}
	if _, err := must("payload").Text(m); err == nil {
		t.Error("an object is text")
	}
	if d, err := must("headers.n * 1000").Millis(m); d != 7*time.Second || err != nil {
		t.Error(d, err)
	}
	if d, err := must("headers.no").Millis(m); d != 0 || err != nil {
		t.Error(d, err)
	}
	if _, err := must("-1").Millis(m); err == nil {
		t.Error("a delay into the past")
	}
	if n, err := must("'12'").Int(m); n != 12 || err != nil {
		t.Error(n, err)
	}
	if _, err := must("1.5").Int(m); err == nil {
		t.Error("1.5 is whole")
	}
	if _, err := must("1").Bool(m); err == nil {
		t.Error("1 is a boolean")
	}
	for text, want := range map[string]any{"payload.id": int32(42), "headers.big": int64(1) << 40, "headers.type": "placed"} {
		if got := must(text).Key(order()); got != want {
			t.Errorf("%s: %T %v", text, got, got)
		}
	}
	if v, err := must("payload % 3").Eval(expr.KeySubject{Value: 7}); v != int64(1) || err != nil {
		t.Error(v, err)
	}
	if v, err := must("payload").Eval(expr.Of(stream.Raw{Payload: []byte("plain text")})); v != "plain text" || err != nil {
		t.Error(v, err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"'a' + headers['k']", "payload.a[0]?.b ?: 1 ? 2 : 3", "!(1 < 2) and 'x' matches 'y'"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if e, err := expr.Compile(text); err == nil {
			_, _ = e.Eval(expr.Of(order()))
		}
	})
}

func Example() {
	e, err := expr.Compile("'order.' + headers['region'] + '.' + payload.id")
	if err != nil {
		fmt.Println(err)
		return
	}
	m := stream.Raw{Headers: stream.Headers{"region": "eu"}, Payload: []byte(`{"id": 7}`)}
	key, err := e.Text(expr.Of(m))
	fmt.Println(key, err)
	_, err = expr.Compile("payload.id.toString()")
	fmt.Println(err)
	// Output:
	// order.eu.7 <nil>
	// expr: "payload.id.toString()": '(' at 20: there are no methods
}
