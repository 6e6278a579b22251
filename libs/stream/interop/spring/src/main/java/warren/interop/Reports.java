package warren.interop;

import java.util.ArrayList;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import io.micrometer.tracing.Span;
import io.micrometer.tracing.Tracer;

import org.springframework.amqp.core.AmqpTemplate;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.messaging.Message;
import org.springframework.stereotype.Component;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;

/** Tells the test what a function was given. */
@Component
class Reports {

	/** A header, with its type: JSON has no bytes, nor two kinds of integers. */
	record Header(String type, String value) {
	}

	record Report(String function, Object payload, Map<String, Header> headers, List<?> batch, String trace) {
	}

	private final AmqpTemplate template;

	private final ObjectMapper json;

	private final Tracer tracer;

	private final String queue;

	Reports(AmqpTemplate template, ObjectMapper json, Tracer tracer, @Value("${run}.reports") String queue) {
		this.template = template;
		this.json = json;
		this.tracer = tracer;
		this.queue = queue;
	}

	void of(String function, Message<?> m) {
		Object payload = m.getPayload() instanceof byte[] b ? new String(b) : m.getPayload();
		List<?> batch = payload instanceof List<?> list ? list : null;
		send(new Report(function, batch == null ? payload : null, headers(m.getHeaders()), batch, trace()));
	}

	private void send(Report report) {
		try {
			this.template.convertAndSend("", this.queue, this.json.writeValueAsString(report));
		}
		catch (JsonProcessingException e) {
			throw new IllegalStateException(e);
		}
	}

	private String trace() {
		Span span = this.tracer.currentSpan();
		return span == null ? "" : span.context().traceId();
	}

	private static Map<String, Header> headers(Map<String, Object> all) {
		Map<String, Header> told = new LinkedHashMap<>();
		all.forEach((key, value) -> told.put(key, new Header(value.getClass().getSimpleName(), text(value))));
		return told;
	}

	private static String text(Object value) {
		if (value instanceof byte[] b) {
			return new String(b);
		}
		if (value instanceof Date d) {
			return Long.toString(d.getTime());
		}
		if (value instanceof List<?> list) {
			List<String> texts = new ArrayList<>();
			list.forEach(v -> texts.add(v == null ? "null" : v.getClass().getSimpleName() + " " + text(v)));
			return texts.toString();
		}
		return String.valueOf(value);
	}
}
