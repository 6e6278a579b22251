package warren.interop;

import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;

import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.messaging.Message;
import org.springframework.messaging.support.MessageBuilder;

/** What is bound by application.yml. Every function reports what it was given. */
@Configuration(proxyBeanMethods = false)
class Functions {

	record Order(String id, int amount, List<String> lines) {
	}

	private final Reports reports;

	Functions(Reports reports) {
		this.reports = reports;
	}

	/** A member of the group that Go consumers are members of. */
	@Bean
	Consumer<Message<String>> shared() {
		return (m) -> this.reports.of("shared", m);
	}

	/** JSON in and out. */
	@Bean
	Function<Message<Order>, Message<Order>> price() {
		return (m) -> {
			this.reports.of("price", m);
			Order o = m.getPayload();
			return MessageBuilder.withPayload(new Order(o.id(), o.amount() * 2, o.lines())).copyHeaders(m.getHeaders()).build();
		};
	}

	/** Text in and out. */
	@Bean
	Function<String, String> upper() {
		return String::toUpperCase;
	}

	/** One message at a time, however they travelled. */
	@Bean
	Consumer<Message<String>> each() {
		return (m) -> this.reports.of("each", m);
	}

	/** Many at a time. */
	@Bean
	Consumer<Message<List<String>>> batch() {
		return (m) -> this.reports.of("batch", m);
	}

	/** Fails on what begins with "bad", so that the binder publishes it to its dead-letter queue. */
	@Bean
	Consumer<Message<String>> fails() {
		return (m) -> failing("fails", m);
	}

	/** The same, but the broker dead-letters. */
	@Bean
	Consumer<Message<String>> rejects() {
		return (m) -> failing("rejects", m);
	}

	private void failing(String function, Message<String> m) {
		if (m.getPayload().startsWith("bad")) {
			throw new IllegalStateException("no way: " + m.getPayload());
		}
		this.reports.of(function, m);
	}

	/** Reads the dead letters of a Go consumer. */
	@Bean
	Consumer<Message<String>> letters() {
		return (m) -> this.reports.of("letters", m);
	}

	/** Consumes three partitions. */
	@Bean
	Consumer<Message<String>> parts() {
		return (m) -> this.reports.of("parts", m);
	}

	/** In the middle of a trace. */
	@Bean
	Function<Message<String>, String> traced() {
		return (m) -> {
			this.reports.of("traced", m);
			return m.getPayload();
		};
	}

	/** Has the queue that a Go consumer declares, too. */
	@Bean
	Consumer<String> declared() {
		return (s) -> {
		};
	}

	@Bean
	Consumer<String> declaredPartition() {
		return (s) -> {
		};
	}
}
