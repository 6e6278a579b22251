package expr_test

import (
	"fmt"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
)

// basket is something of one's own that expressions are asked about.
type basket struct{ lines []string }

func (b basket) Header(key string) any {
	if key == "lines" {
		return int64(len(b.lines))
	}
	return nil
}

func (b basket) Payload() any { return map[string]any{"first": b.lines[0]} }

func ExampleSubject() {
	var s expr.Subject = basket{lines: []string{"pears", "plums"}}
	e, err := expr.Compile("payload.first + ' and ' + (headers['lines'] - 1) + ' more'")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Text(s))
	// A partition selector is asked about the key alone.
	if e, err = expr.Compile("payload % 4"); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Int(expr.KeySubject{Value: int32(7)}))
	// Output:
	// pears and 1 more <nil>
	// 3 <nil>
}

func ExampleExpr() {
	m := expr.Of(stream.Raw{Headers: stream.Headers{"tries": int32(2)}, Payload: []byte(`{"total": 120, "wait": 500}`)})
	for _, text := range []string{"payload.total > 100 and headers['tries'] < 3", "payload.total / 2", "payload.missing ?: 'none'"} {
		e, err := expr.Compile(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(e.Eval(m))
	}
	wait, err := expr.Compile("payload.wait")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(wait.Int(m))
	fmt.Println(wait.Millis(m))
	fmt.Println(wait.Bool(m))
	// Output:
	// true <nil>
	// 60 <nil>
	// none <nil>
	// 500 <nil>
	// 500ms <nil>
	// false expr: "payload.wait" is a number, true or false is needed
}
