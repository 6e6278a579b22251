// Package e2e tests the whole system from outside: real processes, real ports, a real disk. It is a module of its own so that
// what only such tests need is in nobody else's requirements.
package e2e
