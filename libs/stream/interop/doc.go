// Package interop puts a Spring Boot application with Spring Cloud Stream's Rabbit binder (the folder spring) beside a Go
// service and checks that neither can tell the other from one of its own kind. It needs Java and Maven, so the tests are
// behind the tag interop:
//
//	make interop-spring
//
// They run on a node of our own, or on the broker that WARREN_TEST_AMQP_URL names.
package interop
