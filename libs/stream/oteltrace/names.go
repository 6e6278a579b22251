package oteltrace

// Names of OpenTelemetry's messaging conventions (semconv 1.43, status Development: this file is the place to follow a change).
const (
	attrSystem          = "messaging.system"
	attrOperationName   = "messaging.operation.name"
	attrOperationType   = "messaging.operation.type"
	attrDestination     = "messaging.destination.name"
	attrTemplate        = "messaging.destination.template"
	attrAnonymous       = "messaging.destination.anonymous"
	attrGroup           = "messaging.consumer.group.name"
	attrRoutingKey      = "messaging.rabbitmq.destination.routing_key"
	attrDeliveryTag     = "messaging.rabbitmq.message.delivery_tag"
	attrMessageID       = "messaging.message.id"
	attrConversationID  = "messaging.message.conversation_id"
	attrBodySize        = "messaging.message.body.size"
	attrServerAddress   = "server.address"
	attrServerPort      = "server.port"
	attrErrorType       = "error.type"
	attrRetryAttempt    = "stream.attempt"     // ours: the attempt that failed
	attrRetryPause      = "stream.pause_ms"    // ours: pause before the next one
	attrOutcome         = "stream.outcome"     // ours: accept, requeue or dead-letter, set when not plain success
	attrRedelivered     = "stream.redelivered" // ours: the broker's redelivered flag, set when true
	attrRetries         = "stream.retries"     // ours: how often it went through a retry queue, set when it did
	attrBinding         = "stream.binding"     // ours: the binding's name
	attrFailed          = "stream.failed"      // ours: the outcome could not be performed, the message comes again
	attrPartitioned     = "stream.partitioned" // ours: the queue is one partition of its destination
	attrBatchCount      = "messaging.batch.message_count"
	eventRetry          = "retry"
	operationCreate     = "create"
	operationPublish    = "publish"
	operationProcess    = "process"
	operationAck        = "ack"
	operationNack       = "nack"
	operationReject     = "reject"
	typeSend            = "send"
	typeSettle          = "settle"
	typeProcess         = "process"
	metricClientSeconds = "messaging.client.operation.duration"
	metricSent          = "messaging.client.sent.messages"
	metricConsumed      = "messaging.client.consumed.messages"
	metricProcess       = "messaging.process.duration"
	metricAge           = "stream.message.age"          // ours: from the message's timestamp to its delivery
	metricInFlight      = "stream.messages.in_flight"   // ours: in the hands of handlers
	metricRedelivered   = "stream.redelivered.messages" // ours
	metricRetries       = "stream.retried.attempts"     // ours: in-process
	metricOutcomes      = "stream.settled.messages"     // ours, by stream.outcome
	scope               = "github.com/warren-mq/warren/libs/stream/oteltrace"
)

// Header names on the wire. The case written is the one that exact-case readers expect.
const (
	headerTraceparent = "traceparent"
	headerTracestate  = "tracestate"
	headerBaggage     = "baggage"
	headerB3          = "b3"
	headerSpan        = "x-trace-span" // ours: the span that wrote the others, see Extract

	headerB3TraceID = "X-B3-TraceId"
	headerB3SpanID  = "X-B3-SpanId"
	headerB3Parent  = "X-B3-ParentSpanId"
	headerB3Sampled = "X-B3-Sampled"

	headerSleuthTraceID = "spanTraceId"
	headerSleuthSpanID  = "spanId"
	headerSleuthParent  = "spanParentSpanId"
	headerSleuthSampled = "spanSampled"
)

// secondsBuckets are the boundaries that the conventions advise.
var secondsBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// ageBuckets reach from the moment to the day.
var ageBuckets = []float64{0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400}
