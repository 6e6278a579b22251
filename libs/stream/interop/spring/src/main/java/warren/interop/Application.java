package warren.interop;

import org.springframework.amqp.rabbit.listener.AbstractMessageListenerContainer;
import org.springframework.amqp.rabbit.listener.MessageListenerContainer;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.stream.config.ListenerContainerCustomizer;
import org.springframework.context.annotation.Bean;

/** A service on Spring Cloud Stream's Rabbit binder, for tests that put a Go service beside it. */
@SpringBootApplication
public class Application {

	public static void main(String[] args) {
		SpringApplication.run(Application.class, args);
	}

	/** Listeners continue the trace that a message carries. */
	@Bean
	ListenerContainerCustomizer<MessageListenerContainer> observed() {
		return (container, destination, group) -> ((AbstractMessageListenerContainer) container).setObservationEnabled(true);
	}
}
