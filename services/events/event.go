package events

import (
	"errors"
	"fmt"
)

// Event is a fact that one service tells the others.
type Event interface {
	// Type is the event's name, OrderPlaced.
	Type() string
	// Destination is where it is published, order.placed.
	Destination() string
	// Key names the aggregate whose events keep their order: an order id, a SKU.
	Key() string
	// Validate says what is missing for anybody to act on it.
	Validate() error
}

// Item is a quantity of one product.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int64  `json:"quantity"`
}

// PricedItem is an item with the price of one piece at the time of the order.
type PricedItem struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

var errNoOrderID = errors.New("order_id is missing")

func requireOrder(id string) error {
	if id == "" {
		return errNoOrderID
	}
	return nil
}

func requireMoney(amount int64, currency string) error {
	if amount < 0 {
		return fmt.Errorf("amount %d is negative", amount)
	}
	if currency == "" {
		return errors.New("currency is missing")
	}
	return nil
}

func requireSKU(sku string) error {
	if sku == "" {
		return errors.New("sku is missing")
	}
	return nil
}

func requireItems(items []PricedItem) error {
	if len(items) == 0 {
		return errors.New("items are missing")
	}
	for i, it := range items {
		if it.SKU == "" || it.Quantity <= 0 {
			return fmt.Errorf("items[%d]: %d of %q", i, it.Quantity, it.SKU)
		}
	}
	return nil
}
