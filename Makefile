# Everything that is done to this repository is a target; `make` alone lists them.

MODULES  := broker broker/interop/grafana libs libs/bench services services/e2e
PATTERN  := $(addprefix ./,$(addsuffix /...,broker libs services))
FUZZTIME ?= 30s
N        ?= 2
CHAOS    ?= 60s
FAULT    ?= 5m
SEEDS    ?= 1000
RATE     ?= 50
TIME     ?= 30s
SHAPE    ?= constant
SOAK     ?= 30m
ROUNDS   ?= 5
COMPOSE  ?= docker compose
PROFILES ?=

.DEFAULT_GOAL := help
.PHONY: help build cluster cluster-down node-start node-stop node-kill demo talk load soak certs test e2e e2e-compose fault-run check sim chaos failover bench-vs-rabbitmq bench-binder oracle tools polling interop interop-spring lint fuzz tidy clean up down logs kubernetes-credentials

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9%-]+:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build every binary into bin/
	@mkdir -p bin
	@for p in broker/cmd/* libs/cmd/* services/order services/payment services/product services/shipment services/demo services/talk services/load services/soak; do \
		printf 'building %s\n' $$p; go build -o bin/ ./$$p || exit 1; done

cluster: build ## Start three brokers and the balancer in the background
	@bin/demo cluster-up

cluster-down: bin/demo ## Stop whatever an earlier run has left running
	@bin/demo cluster-down

node-start: bin/demo ## Start one broker: make node-start N=2
	@bin/demo node-start $(N)

node-stop: bin/demo ## Stop one broker gracefully: make node-stop N=2
	@bin/demo node-stop $(N)

node-kill: bin/demo ## Kill one broker as a power cut would: make node-kill N=2
	@bin/demo node-stop --kill $(N)

demo: build ## Run everything in the foreground, without containers; ^C stops it
	@bin/demo up

certs: ## Make an authority and certificates for development in .warren/certs; WARREN_CERTS=.warren/certs make demo uses them
	go run ./broker/cmd/certs --dir .warren/certs broker-1 broker-2 broker-3 order payment product shipment

bin/demo:
	@$(MAKE) --no-print-directory build

check: ## Quick: build, vet, unit tests without the race detector
	go build $(PATTERN)
	go vet work
	go test -short -timeout 5m $(PATTERN)

test: ## All tests: vet, every module under the race detector, then end to end
	go vet work
	go test -race -timeout 15m $(PATTERN)
	$(MAKE) --no-print-directory e2e

e2e: ## End-to-end tests on real processes
	go test -count=1 -v -timeout 10m ./services/e2e/...

fault-run: ## The binder for FAULT (5m) while brokers, balancer and members of its group come and go; SEED repeats a run's faults
	WARREN_FAULT_TIME=$(FAULT) WARREN_FAULT_SEED=$(SEED) go test -count=1 -v -timeout 1h -run TestTheBinderUnderFaults ./services/e2e

# The tests take down what they start, by its project's name: no reaper has to be fetched.
e2e-compose: ## End-to-end tests on containers, each profile of deploy/compose; needs an engine
	WARREN_E2E_COMPOSE=1 TESTCONTAINERS_RYUK_DISABLED=true go test -count=1 -v -timeout 60m -run 'TestCompose' ./services/e2e

lab-%: ## Show lab NN, or talk, of services/docs/labs; make demo runs in another terminal meanwhile
	@cat services/docs/labs/$*-*.md

lab-check-%: ## Do lab NN, or those of the talk, on a system of its own and compare what comes out
	go test -count=1 -v -timeout 10m -run 'TestLabs/^$*-' ./services/e2e

talk: build ## The talk's experiments on this broker and on an installed RabbitMQ: one table of what was expected and seen
	@bin/talk

load: build ## Orders for the running demo at RATE (50) a second for TIME (30s), SHAPE constant or poisson, or STEPS (10x10s,50x30s): percentiles, ledger, .warren/load.html
	@mkdir -p .warren && bin/load --rate $(RATE) --time $(TIME) --shape $(SHAPE) $(if $(STEPS),--steps $(STEPS)) --report .warren/load.html

soak: build ## A system of its own for SOAK (30m) at RATE orders a second, with a failure every minute; SEED repeats their order
	@bin/soak --for $(SOAK) --rate $(RATE) $(if $(SEED),--seed $(SEED))

sim: ## Run SEEDS (1000) clusters on simulated machines with every fault there is; SEED is the first
	go run ./broker/cmd/sim --seeds $(SEEDS) $(if $(SEED),--seed $(SEED))

chaos: build ## Break three brokers at random for CHAOS (60s) and check every message; SEED repeats a run's faults
	@bin/chaos --for $(CHAOS) $(if $(SEED),--seed $(SEED))

failover: build ## How long clients wait when a leader dies, freezes or is cut off
	@bin/chaos failover

bench-vs-rabbitmq: build ## Measure this broker and an installed RabbitMQ side by side, in ROUNDS (5)
	@bin/versus --rounds $(ROUNDS)

oracle: ## Compare the recorded conversations with a real RabbitMQ (ORACLE_URL, ORACLE_HTTP; else rabbitmq-server), and ours with them
	broker/interop/oracle.sh

tools: ## rabbit-hole's suite, rabbitmqadmin, RabbitMQ's Grafana dashboards and alerts (fetched when it runs): what passed, what does not apply and why
	go test -count=1 -tags interop -run 'RabbitHole|Rabbitmqadmin' -timeout 12m -v ./broker/interop
	cd broker/interop/grafana && GOWORK=off go test -count=1 -timeout 5m -v .

polling: build ## What tools cost that watch 10,000 queues and 2,000 connections: rates and latencies with and without them, in ROUNDS (5)
	@bin/versus polling --rounds $(ROUNDS)

interop: ## Clients of other languages against one node: librabbitmq, pika, bunny, amqplib; skips what is not installed
	go test -count=1 -tags interop -run Clients -v ./broker/interop

interop-spring: ## A Spring Boot application on Spring Cloud Stream beside the Go binder; needs Java and Maven (WARREN_TEST_AMQP_URL: another broker)
	go test -count=1 -tags interop -v ./libs/stream/interop

bench-binder: ## The binder beside the bare client and Watermill, on one broker in one process
	cd libs/bench && GOWORK=off go test -run '^$$' -bench . -benchtime 20000x -count 3 -timeout 20m .

lint: ## golangci-lint with the repository's rules
	golangci-lint run $$(go list -m -f '{{.Dir}}/...')

# Go would spend a minute on making each new input small, and try few others meanwhile.
fuzz: ## Run every fuzz target for FUZZTIME
	@for m in broker libs services; do for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' $$m | xargs -r -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed 's/^func //'); do \
			printf 'fuzzing %s %s\n' $$dir $$f; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x ./$$dir || exit 1; done; done; done

tidy: ## Bring all go.mod and go.sum up to date
	@for m in $(MODULES); do printf 'tidy %s\n' $$m; (cd $$m && GOWORK=off go mod tidy) || exit 1; done

clean: ## Remove binaries and the state of stopped processes
	@if [ -x bin/demo ]; then bin/demo cluster-down; fi
	rm -rf bin .warren

up: ## Run everything in containers and wait until it is healthy; PROFILES="postgres observability" lays files of deploy/compose over it
	$(COMPOSE) -f docker-compose.yml $(PROFILES:%=-f deploy/compose/%.yml) up --build --wait

# With every profile there is: their data go, too.
down: ## Stop the containers and remove their data
	$(COMPOSE) -f docker-compose.yml $(patsubst %,-f %,$(wildcard deploy/compose/*.yml)) down --volumes --remove-orphans

kubernetes-credentials: ## Make the passwords that deploy/kustomize/overlays/local needs
	go run ./services/credentials --dir deploy/kustomize/overlays/local/credentials

logs: ## Follow the containers' logs
	$(COMPOSE) logs --follow
