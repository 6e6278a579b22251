package telemetry_test

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/warren-mq/warren/libs/telemetry"
)

func ExampleStart() {
	ctx := context.Background()
	env := map[string]string{"LOG_FORMAT": "bracket"} // in a service: os.Getenv
	var t *telemetry.Telemetry
	t, err := telemetry.Start(ctx, telemetry.Config{
		Service: "payment", Version: "1.0.0", Getenv: func(key string) string { return env[key] },
		Log: withoutTime{}, Format: telemetry.Format(env["LOG_FORMAT"]),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, span := otel.Tracer("example").Start(ctx, "pay")
	span.End()
	t.Logger.Info("paid")
	ctx, cancel := context.WithTimeout(ctx, time.Second) // what is left is sent
	defer cancel()
	fmt.Println(t.Shutdown(ctx))
	// Output:
	// INFO  [payment,,,false] paid
	// <nil>
}
