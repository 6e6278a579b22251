package warren.interop;

import java.beans.PropertyDescriptor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Consumer;

import org.springframework.beans.BeanUtils;
import org.springframework.cloud.stream.binder.ConsumerProperties;
import org.springframework.cloud.stream.binder.ProducerProperties;
import org.springframework.cloud.stream.binder.rabbit.properties.RabbitConsumerProperties;
import org.springframework.cloud.stream.binder.rabbit.properties.RabbitProducerProperties;
import org.springframework.cloud.stream.function.StreamBridge;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.messaging.Message;
import org.springframework.messaging.support.MessageBuilder;

/** Does what the test says. */
@Configuration(proxyBeanMethods = false)
class Commands {

	/** Send payloads to a binding; each header value has its type in front: "long 5". */
	record Command(String binding, List<String> payloads, Map<String, String> headers) {
	}

	@Bean
	Consumer<Command> command(StreamBridge bridge) {
		return (c) -> c.payloads().forEach((p) -> {
			MessageBuilder<?> m = MessageBuilder.withPayload(p);
			c.headers().forEach((key, value) -> m.setHeader(key, typed(value)));
			if (!bridge.send(c.binding(), m.build())) {
				throw new IllegalStateException("not sent to " + c.binding());
			}
		});
	}

	private static Object typed(String value) {
		String[] part = value.split(" ", 2);
		return switch (part[0]) {
			case "int" -> Integer.valueOf(part[1]);
			case "long" -> Long.valueOf(part[1]);
			case "double" -> Double.valueOf(part[1]);
			case "boolean" -> Boolean.valueOf(part[1]);
			case "bytes" -> part[1].getBytes();
			case "date" -> new Date(Long.parseLong(part[1]));
			case "uuid" -> UUID.fromString(part[1]);
			case "list" -> List.of("a", 1, 2L);
			case "map" -> Map.of("k", "v");
			default -> part[1];
		};
	}

	/** All properties of a binding, so that the test can tell which of them Go does not know. */
	@Bean
	Consumer<Message<String>> properties(Reports reports) {
		return (m) -> {
			List<String> all = new ArrayList<>();
			add(all, "consumer", ConsumerProperties.class, "");
			add(all, "producer", ProducerProperties.class, "");
			add(all, "rabbit.consumer", RabbitConsumerProperties.class, "");
			add(all, "rabbit.producer", RabbitProducerProperties.class, "");
			reports.of("properties", MessageBuilder.withPayload(all).build());
		};
	}

	private static void add(List<String> all, String block, Class<?> type, String before) {
		Arrays.stream(BeanUtils.getPropertyDescriptors(type)).filter((p) -> p.getReadMethod() != null && !p.getName().equals("class")).forEach((p) -> {
			String name = before + p.getName();
			if (nested(p)) {
				add(all, block, p.getPropertyType(), name + ".");
			}
			else if (p.getWriteMethod() != null || Map.class.isAssignableFrom(p.getPropertyType())) {
				all.add(block + " " + name);
			}
		});
	}

	private static boolean nested(PropertyDescriptor p) {
		return p.getPropertyType().getName().startsWith("org.springframework.cloud.stream") && !p.getPropertyType().isEnum();
	}
}
