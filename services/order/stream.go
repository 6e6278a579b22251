package main

import (
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/order/internal/order"
)

// bind connects the service to its destinations.
func bind(s *chassis.Service, orders *order.Service) {
	s.Publish(order.Publishes()...)
	s.Subscribe(events.GroupOrder, orders.Subscriptions()...)
}
