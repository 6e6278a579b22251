// Package grafana evaluates the queries of RabbitMQ's own Grafana dashboards and of its
// alerting rules, and of our dashboard, with Prometheus's engine, on what a cluster of this
// broker tells while it carries a little of everything. The dashboards are fetched when the test runs. It is
// a module of its own, so that the broker does not inherit Prometheus.
//
//	make tools
//
// A query passes that finds something, and finds more than zeros where the load must show.
// The dashboards that the module names by their URL alone come from there, or from the
// directory WARREN_TEST_BOARDS, in files named like the last part of their URLs.
package grafana
