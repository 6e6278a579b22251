package main

import (
	"github.com/warren-mq/warren/services/events"
	"github.com/warren-mq/warren/services/internal/chassis"
	"github.com/warren-mq/warren/services/shipment/internal/shipment"
)

// bind connects the service to its destinations.
func bind(s *chassis.Service, shipments *shipment.Service) {
	s.Publish(shipment.Publishes()...)
	s.Subscribe(events.GroupShipment, shipments.Subscriptions()...)
}
