package main

import (
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/payment/internal/payment"
)

// bind connects the service to its destinations.
func bind(s *chassis.Service, payments *payment.Service) {
	s.Publish(payment.Publishes()...)
	s.Subscribe(events.GroupPayment, payments.Subscriptions()...)
}
