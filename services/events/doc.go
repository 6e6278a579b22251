// Package events is the published language of the services: what has happened, in the past tense, one file per event.
//
// # Versions
//
// Add, never change meaning. A field may be added; readers ignore what they do not know and treat what is missing as its zero
// value. A field is never renamed, never given another unit or another meaning, never removed. When the meaning has to change,
// the event gets a new name and a new destination, and both are published until nobody reads the old one.
//
// # Money, time, ids
//
// Amounts are integers in the currency's minor unit (cents), the currency is an ISO 4217 code beside them. Times are UTC.
// Orders, payments and shipments are named by UUIDv7.
package events
