package config

import (
	"time"

	"github.com/warren-mq/warren/libs/stream"
	"github.com/warren-mq/warren/libs/stream/expr"
)

type (
	bind       = stream.Binding
	queueOf    = func(*bind) *stream.QueueProperties
	properties map[string]property
)

// bindingKeys are the keys below bindings.<name>, as Spring writes them.
var bindingKeys = properties{
	"destination":            text(func(b *bind) *string { return &b.Destination }),
	"group":                  text(func(b *bind) *string { return &b.Group }),
	"contentType":            text(func(b *bind) *string { return &b.ContentType }),
	"binder":                 text(func(b *bind) *string { return &b.Binder }),
	"errorHandlerDefinition": missing("functions are Go values: set Consumer.ErrorHandler"),
}

// consumerKeys are those below bindings.<name>.consumer.
var consumerKeys = properties{
	"autoStartup":            onOff(func(b *bind) *stream.Switch { return &b.Consumer.AutoStartup }),
	"concurrency":            whole(func(b *bind) *int { return &b.Consumer.Concurrency }),
	"partitioned":            boolean(func(b *bind) *bool { return &b.Consumer.Partitioned }),
	"headerMode":             headerMode(func(b *bind) *[]string { return &b.Consumer.HeaderPatterns }),
	"maxAttempts":            whole(func(b *bind) *int { return &b.Consumer.MaxAttempts }),
	"backOffInitialInterval": millis(func(b *bind) *time.Duration { return &b.Consumer.BackOffInitialInterval }),
	"backOffMaxInterval":     millis(func(b *bind) *time.Duration { return &b.Consumer.BackOffMaxInterval }),
	"backOffMultiplier":      factor(func(b *bind) *float64 { return &b.Consumer.BackOffMultiplier }),
	"defaultRetryable": plain(func(b *bind, s string) error {
		on, err := truth(s)
		b.Consumer.Retryable = nil
		if !on {
			b.Consumer.Retryable = func(error) bool { return false }
		}
		return err
	}),
	"retryableExceptions": missing("Java's exceptions are not Go's errors: set Consumer.Retryable"),
	"retryTemplateName":   missing("beans are Go values: set the backOff properties and Consumer.Retryable"),
	"instanceCount":       noEffect("a consumer needs to know its own index only"),
	"instanceIndex": plain(func(b *bind, s string) error {
		n, err := number(s)
		if err == nil && n >= 0 { // -1 is the process's own
			b.Consumer.InstanceIndex, b.Consumer.InstanceIndexes = n, nil
		}
		return err
	}),
	"instanceIndexList": wholes(func(b *bind) *[]int { return &b.Consumer.InstanceIndexes }),
	"useNativeDecoding": only("false", "a handler of []byte gets the payload as it is"),
	"multiplex":         noEffect("the destinations of a binding always share its handlers"),
	"batchMode":         noEffect("stream.ConsumeBatch makes a batch binding"),
}

// producerKeys are those below bindings.<name>.producer.
var producerKeys = properties{
	"autoStartup":                    onOff(func(b *bind) *stream.Switch { return &b.Producer.AutoStartup }),
	"partitionKeyExpression":         expression(func(b *bind, e *expr.Expr) { b.Producer.PartitionKey = e.Key }),
	"partitionKeyExtractorName":      missing("beans are Go values: set Producer.PartitionKey"),
	"partitionSelectorName":          missing("beans are Go values: set Producer.PartitionSelector"),
	"partitionSelectorExpression":    expression(partitionSelector).noted("the key is `payload`"),
	"partitionCount":                 whole(func(b *bind) *int { return &b.Producer.PartitionCount }),
	"requiredGroups":                 list(func(b *bind) *[]string { return &b.Producer.RequiredGroups }),
	"headerMode":                     headerMode(func(b *bind) *[]string { return &b.Producer.HeaderPatterns }),
	"useNativeEncoding":              only("false", "a []byte payload is sent as it is"),
	"errorChannelEnabled":            noEffect("Send returns the error"),
	"dynamicPartitionUpdatesEnabled": noEffect("Rabbit has no dynamic partitions in Spring either"),
	"poller.fixedDelay":              millis(func(b *bind) *time.Duration { return &b.Producer.PollInterval }),
	"poller.initialDelay":            millisOrNone(func(b *bind) *time.Duration { return &b.Producer.InitialDelay }),
	"poller.maxMessagesPerPoll":      whole(func(b *bind) *int { return &b.Producer.MessagesPerPoll }),
	"poller.cron":                    missing("use poller.fixedDelay"),
	"poller.timeUnit":                only("milliseconds", "write the unit behind the number"),
}

var republishDeliveryMode = oneOf(map[string]func(*bind){
	"PERSISTENT": func(b *bind) { b.Consumer.RepublishTransient = false }, "NON_PERSISTENT": func(b *bind) { b.Consumer.RepublishTransient = true },
})

// rabbitConsumerKeys are those below rabbit.bindings.<name>.consumer.
var rabbitConsumerKeys = merged(queueKeys(func(b *bind) *stream.QueueProperties { return &b.Consumer.Queue }, func(b *bind) *bool { return &b.Consumer.AutoBindDLQ }), properties{
	"acknowledgeMode": oneOf(map[string]func(*bind){
		"AUTO": func(b *bind) { b.Consumer.Acknowledge = stream.AckAuto }, "MANUAL": func(b *bind) { b.Consumer.Acknowledge = stream.AckManual },
		"NONE": func(b *bind) { b.Consumer.Acknowledge = stream.AckNone },
	}).noted("MANUAL: Delivery.Ack, Requeue and Reject in place of the channel"),
	"anonymousGroupPrefix":           text(func(b *bind) *string { return &b.Consumer.AnonymousGroupPrefix }),
	"batchSize":                      whole(func(b *bind) *int { return &b.Consumer.BatchSize }).noted("messages of a batch only; acknowledgements are gathered anyway"),
	"enableBatching":                 noEffect("stream.ConsumeBatch makes a batch binding"),
	"receiveTimeout":                 millis(func(b *bind) *time.Duration { return &b.Consumer.ReceiveTimeout }),
	"consumerTagPrefix":              text(func(b *bind) *string { return &b.Consumer.ConsumerTagPrefix }),
	"consumerPriority":               wholeOrNone(func(b *bind) *int { return &b.Consumer.ConsumerPriority }),
	"queueMaxPriority":               wholeOrNone(func(b *bind) *int { return &b.Consumer.Queue.MaxPriority }),
	"containerType":                  oneOf(map[string]func(*bind){"simple": nil, "direct": nil}).noted("no difference; `stream` is not supported"),
	"durableSubscription":            onOff(func(b *bind) *stream.Switch { return &b.Consumer.DurableSubscription }),
	"exclusive":                      boolean(func(b *bind) *bool { return &b.Consumer.Exclusive }),
	"failedDeclarationRetryInterval": noEffect("recovery has the binder's own pauses: rabbit.Config"),
	"frameMaxHeadroom":               whole(func(b *bind) *int { return &b.Consumer.FrameMaxHeadroom }),
	"headerPatterns":                 list(func(b *bind) *[]string { return &b.Consumer.HeaderPatterns }),
	"maxConcurrency": plain(func(b *bind, s string) error {
		n, err := number(s)
		b.Consumer.Concurrency = max(b.Consumer.Concurrency, n)
		return err
	}).noted("handlers cost next to nothing: there are as many from the start"),
	"missingQueuesFatal":      boolean(func(b *bind) *bool { return &b.Consumer.MissingQueuesFatal }),
	"prefetch":                whole(func(b *bind) *int { return &b.Consumer.Prefetch }).noted("default 16, not 1"),
	"queueDeclarationRetries": noEffect("recovery never gives up"),
	"recoveryInterval":        noEffect("recovery has the binder's own pauses: rabbit.Config"),
	"republishToDlq":          onOff(func(b *bind) *stream.Switch { return &b.Consumer.RepublishToDLQ }),
	"republishDeliveyMode":    republishDeliveryMode.noted("the same: Spring's own spelling, which its documentation has not"),
	"republishDeliveryMode":   republishDeliveryMode,
	"requeueRejected":         boolean(func(b *bind) *bool { return &b.Consumer.RequeueRejected }),
	"superStream":             only("false", "streams are not supported"),
	"transacted":              only("false", "publisher confirms do the same without a channel transaction"),

	"streamStreamMessageConverterBeanName": missing("streams are not supported"),

	"delayedRetry.intervals": durations(func(b *bind) *[]time.Duration { return &b.Consumer.DelayedRetry.Intervals }).noted("ours"),
	"delayedRetry.jitter":    real(func(b *bind) *float64 { return &b.Consumer.DelayedRetry.Jitter }).noted("ours"),
	"delayedRetry.maxAge":    millisOrNone(func(b *bind) *time.Duration { return &b.Consumer.DelayedRetry.MaxAge }).noted("ours"),
	"orderKeyExpression":     expression(orderKey).noted("ours"),
})

// rabbitProducerKeys are those below rabbit.bindings.<name>.producer.
var rabbitProducerKeys = merged(queueKeys(func(b *bind) *stream.QueueProperties { return &b.Producer.Queue }, func(b *bind) *bool { return &b.Producer.AutoBindDLQ }), properties{
	"alternateExchange.name":               text(func(b *bind) *string { return &b.Producer.AlternateExchange.Name }),
	"alternateExchange.exists":             boolean(func(b *bind) *bool { return &b.Producer.AlternateExchange.Exists }),
	"alternateExchange.type":               text(func(b *bind) *string { return &b.Producer.AlternateExchange.Type }),
	"alternateExchange.binding.queue":      text(func(b *bind) *string { return &b.Producer.AlternateExchange.Queue }),
	"alternateExchange.binding.routingKey": text(func(b *bind) *string { return &b.Producer.AlternateExchange.RoutingKey }),
	"batchingEnabled":                      boolean(func(b *bind) *bool { return &b.Producer.Batching }),
	"batchSize":                            whole(func(b *bind) *int { return &b.Producer.BatchSize }),
	"batchBufferLimit":                     whole(func(b *bind) *int { return &b.Producer.BatchBytes }),
	"batchTimeout":                         millis(func(b *bind) *time.Duration { return &b.Producer.BatchTimeout }),
	"batchingStrategyBeanName":             missing("there is one strategy"),
	"compress":                             boolean(func(b *bind) *bool { return &b.Producer.Compress }),
	"confirmAckChannel":                    noEffect("Send returns the fate of the message"),
	"useConfirmHeader":                     noEffect("Send returns the fate of the message"),
	"delayExpression":                      expression(delay),
	"deliveryMode": oneOf(map[string]func(*bind){
		"PERSISTENT": func(b *bind) { b.Producer.Transient = false }, "NON_PERSISTENT": func(b *bind) { b.Producer.Transient = true },
	}),
	"headerPatterns":       list(func(b *bind) *[]string { return &b.Producer.HeaderPatterns }),
	"producerType":         only("AMQP", "streams are not supported"),
	"routingKey":           text(func(b *bind) *string { return &b.Producer.RoutingKey }),
	"routingKeyExpression": expression(routingKey),
	"transacted":           only("false", "publisher confirms do the same without a channel transaction"),
	"superStream":          only("false", "streams are not supported"),

	"streamMessageConverterBeanName":       missing("streams are not supported"),
	"streamStreamMessageConverterBeanName": missing("streams are not supported"),

	"mandatory": onOff(func(b *bind) *stream.Switch { return &b.Producer.Mandatory }).noted("ours"),
})

// queueKeys are those that consumers and producers share.
func queueKeys(q queueOf, autoBindDLQ func(*bind) *bool) properties {
	keys := properties{
		"exchangeType":               text(func(b *bind) *string { return &q(b).ExchangeType }),
		"declareExchange":            onOff(func(b *bind) *stream.Switch { return &q(b).DeclareExchange }),
		"exchangeDurable":            onOff(func(b *bind) *stream.Switch { return &q(b).ExchangeDurable }),
		"exchangeAutoDelete":         boolean(func(b *bind) *bool { return &q(b).ExchangeAutoDelete }),
		"delayedExchange":            boolean(func(b *bind) *bool { return &q(b).DelayedExchange }),
		"bindQueue":                  onOff(func(b *bind) *stream.Switch { return &q(b).BindQueue }),
		"bindingRoutingKey":          property{set: func(b *bind, e entry, _ []string) error { q(b).BindingRoutingKeys = []string{e.text}; return nil }},
		"bindingRoutingKeyDelimiter": property{set: func(b *bind, e entry, _ []string) error { return splitKeys(q(b), e.text) }},
		"queueBindingArguments":      table(func(b *bind) *map[string]any { return &q(b).QueueBindingArgs }),
		"dlqBindingArguments":        table(func(b *bind) *map[string]any { return &q(b).DLQBindingArgs }),
		"queueNameGroupOnly":         boolean(func(b *bind) *bool { return &q(b).QueueNameGroupOnly }),
		"prefix":                     text(func(b *bind) *string { return &q(b).Prefix }),
		"autoBindDlq":                boolean(autoBindDLQ),
		"deadLetterQueueName":        text(func(b *bind) *string { return &q(b).DeadLetterQueueName }),
		"deadLetterExchange":         optional(func(b *bind) **string { return &q(b).DeadLetterExchange }),
		"deadLetterExchangeType":     text(func(b *bind) *string { return &q(b).DeadLetterExchangeType }),
		"declareDlx":                 onOff(func(b *bind) *stream.Switch { return &q(b).DeclareDLX }),
		"deadLetterRoutingKey":       text(func(b *bind) *string { return &q(b).DeadLetterRoutingKey }),
		"dlqDeadLetterExchange":      optional(func(b *bind) **string { return &q(b).DLQ.DeadLetterExchange }),
		"dlqDeadLetterRoutingKey":    text(func(b *bind) *string { return &q(b).DLQ.DeadLetterRoutingKey }),
		"ttl":                        millis(func(b *bind) *time.Duration { return &q(b).TTL }),
		"expires":                    millis(func(b *bind) *time.Duration { return &q(b).Expires }),
		"maxLength":                  whole(func(b *bind) *int { return &q(b).MaxLength }),
		"maxLengthBytes":             whole(func(b *bind) *int { return &q(b).MaxLengthBytes }),
		"maxPriority":                whole(func(b *bind) *int { return &q(b).MaxPriority }),
		"overflowBehavior":           text(func(b *bind) *string { return &q(b).OverflowBehavior }),
		"lazy":                       boolean(func(b *bind) *bool { return &q(b).Lazy }),
		"singleActiveConsumer":       boolean(func(b *bind) *bool { return &q(b).SingleActiveConsumer }),
		"quorum.enabled":             boolean(func(b *bind) *bool { return &q(b).Quorum.Enabled }),
		"quorum.deliveryLimit":       whole(func(b *bind) *int { return &q(b).Quorum.DeliveryLimit }),
		"quorum.initialGroupSize":    whole(func(b *bind) *int { return &q(b).Quorum.InitialGroupSize }),
		"dlqTtl":                     millis(func(b *bind) *time.Duration { return &q(b).DLQ.TTL }),
		"dlqExpires":                 millis(func(b *bind) *time.Duration { return &q(b).DLQ.Expires }),
		"dlqMaxLength":               whole(func(b *bind) *int { return &q(b).DLQ.MaxLength }),
		"dlqMaxLengthBytes":          whole(func(b *bind) *int { return &q(b).DLQ.MaxLengthBytes }),
		"dlqMaxPriority":             whole(func(b *bind) *int { return &q(b).DLQ.MaxPriority }),
		"dlqOverflowBehavior":        text(func(b *bind) *string { return &q(b).DLQ.OverflowBehavior }),
		"dlqLazy":                    boolean(func(b *bind) *bool { return &q(b).DLQ.Lazy }),
		"dlqSingleActiveConsumer":    boolean(func(b *bind) *bool { return &q(b).DLQ.SingleActiveConsumer }),
		"dlqQuorum.enabled":          boolean(func(b *bind) *bool { return &q(b).DLQ.Quorum.Enabled }),
		"dlqQuorum.deliveryLimit":    whole(func(b *bind) *int { return &q(b).DLQ.Quorum.DeliveryLimit }),
		"dlqQuorum.initialGroupSize": whole(func(b *bind) *int { return &q(b).DLQ.Quorum.InitialGroupSize }),
	}
	return keys
}
