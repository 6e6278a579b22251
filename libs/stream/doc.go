// Package stream is Spring Cloud Stream's programming model in Go.
//
// A service writes plain functions and binds them to destinations:
//
//	app := stream.New(binder, stream.WithInstrumentation(oteltrace.New(oteltrace.Config{})))
//	stream.Consume(app, stream.Binding{Name: "placed-in-0", Destination: "order.placed", Group: "payment"}, handlePlaced)
//	authorized := stream.NewSender[PaymentAuthorized](app, stream.Binding{Name: "authorized-out-0", Destination: "payment.authorized"})
//	err := app.Start(ctx)
//
// A destination is an exchange, a group is a queue that its members share; the names on the wire are Spring's, so that a Go
// service and a Spring Boot service can be members of one group. What the handler returns decides what becomes of the message:
//
//	nil              settled: the broker forgets the message
//	any other error  tried again MaxAttempts times with a growing pause, then dead-lettered with its reason
//	Reject(err)      dead-lettered now, without another attempt
//	Requeue(err)     given back to the queue now, another member may get it
//	Drop(err)        settled although it failed; the error is only observed
//
// The package decides, a [Binder] performs: everything between a delivery and its [Outcome] (decoding, attempts, the marks
// above) is the same for every broker, and a binder only moves bytes and settles.
package stream
