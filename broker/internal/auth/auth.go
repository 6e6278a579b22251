// Package auth checks passwords and permissions. Password hashes have RabbitMQ's form,
// so users move between the brokers with their definitions.
package auth
