package main

import (
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/product/internal/product"
)

// bind connects the service to its destinations.
func bind(s *chassis.Service, products *product.Service) {
	s.Publish(product.Publishes()...)
	s.Subscribe(events.GroupProduct, products.Subscriptions()...)
}
