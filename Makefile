# What a contributor runs. `make` lists the targets; CONTRIBUTING.md says when to run which.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

# The tools are pinned in a module of their own; the first use compiles them, later ones come from Go's build cache.
TOOL := go tool -modfile=tools/go.mod

# Narrow a run: make test PKGS=./graph/... ; pass arguments on: make demo ARGS=--keep, make lint ARGS=--fix
PKGS ?= ./...
ARGS ?=
FUZZTIME ?= 30s

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/engram
	go build -trimpath -o bin/engram ./cmd/engram

.PHONY: demo
demo: ## Stream 10,000 real vectors into a throw-away server and recall them
	go run ./cmd/engram demo $(ARGS)

.PHONY: test
test: ## Check everything: vet, protocol, house rules, all tests under the race detector
	@tools/need-tools.sh
	@echo "==> protocol"
	@tools/proto-check.sh
	@echo "==> assembly"
	@internal/simd/gen/check.sh
	@echo "==> vet"
	go vet -race $(PKGS)
ifneq (,$(filter ./... ./internal/... ./internal/app,$(PKGS)))
	@echo "==> what the race detector would change: what an observation allocates, how long a stop takes"
	go test -run '^(TestWhatAnObservationAllocates|TestAStopAppliesAllThatWasReceived)$$' ./internal/app
endif
	@echo "==> tests, house rules and import rules, under the race detector"
	@# Last, so that a log ends with the tests' own summary.
	$(TOOL) gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg -- -race -timeout 8m $(PKGS)

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME, of PKGS: make fuzz FUZZTIME=2m PKGS=./config
	@tools/fuzz.sh $(FUZZTIME) $(PKGS)

.PHONY: lint
lint: ## Run every linter, and check that go.mod is tidy
	@echo "==> linters"
	$(TOOL) golangci-lint run $(ARGS) $(PKGS)
	@echo "==> go.mod"
	go mod tidy -diff

.PHONY: fmt
fmt: ## Format Go and proto
	$(TOOL) golangci-lint fmt
	$(TOOL) buf format --write proto

.PHONY: proto
proto: ## Generate proto/gen and docs/protocol/reference from proto/
	$(TOOL) buf generate

.PHONY: proto-check
proto-check: ## Check the protocol: lint, breaking changes, drift of the generated code
	@tools/proto-check.sh

.PHONY: simd
simd: ## Generate the assembly of internal/simd; CHECK=1 only checks that it is what the generator makes
ifdef CHECK
	@internal/simd/gen/check.sh
else
	go generate ./internal/simd
endif

.PHONY: peers
peers: ## Measure hnswlib beside engram's graph; pass arguments on: make peers ARGS='out --count 200000'
	@tools/peers/run.sh $(ARGS)

.PHONY: clean
clean: ## Delete what make builds
	rm -rf bin
