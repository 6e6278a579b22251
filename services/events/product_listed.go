package events

import "errors"

// ProductListed is the state of a catalogue entry. Of two with one SKU the higher revision holds, whichever comes later; the
// same revision is published again when product starts.
type ProductListed struct {
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
	Revision int64  `json:"revision"`
	// Entries is how many the catalogue has, so that a reader knows when it has heard of all; 0 when it was not counted.
	Entries int64 `json:"entries,omitempty"`
}

// Type implements Event.
func (ProductListed) Type() string { return "ProductListed" }

// Destination implements Event.
func (ProductListed) Destination() string { return "product.listed" }

// Key implements Event.
func (e ProductListed) Key() string { return e.SKU }

// Validate implements Event.
func (e ProductListed) Validate() error {
	return errors.Join(requireSKU(e.SKU), requireMoney(e.Price, e.Currency))
}
