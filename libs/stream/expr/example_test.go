package expr_test

import (
	"fmt"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
)

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
