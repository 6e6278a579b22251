package main

import "github.com/warren-mq/warren/services/internal/chassis"

// readConfig reads the environment; nobody else does.
func readConfig(getenv func(string) string) (chassis.Config, error) {
	e := chassis.NewEnv(getenv)
	cfg := chassis.Read(e, "payment", "8081")
	return cfg, e.Err()
}
