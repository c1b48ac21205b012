# The two commands a newcomer needs: `make demo` and `make test`.
# The rest is for people who work on Ingot; `make help` lists everything.

CARGO ?= cargo
DATA_DIR ?= $(CURDIR)/.ingot/demo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
VENV := $(TARGET_DIR)/venv
INGOT := $(TARGET_DIR)/debug/ingot

.PHONY: help demo test test-rust test-slt test-clients interop build check format bench clean-demo

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build Ingot and run Kafka -> bronze -> silver -> gold on 336,776 flights (DATA_DIR=..., ARGS=...)
	@scripts/doctor build
	@echo "building ingot (the first build compiles all dependencies: 20 to 40 minutes on two cores)"
	$(CARGO) build --locked -p ingot
	$(INGOT) demo --data-dir "$(DATA_DIR)" $(ARGS)

test: ## Build and run all tests
	@scripts/doctor clients
	@$(MAKE) --no-print-directory test-rust test-slt test-clients

test-rust:
	@scripts/doctor build
	@echo "building and running the tests (the first build compiles all dependencies: 20 to 40 minutes on two cores)"
	$(CARGO) test --locked --workspace --no-fail-fast

test-slt: build
	$(CARGO) run --quiet --locked --manifest-path slt/runner/Cargo.toml --target-dir "$(TARGET_DIR)/slt-runner" -- \
		--ingot "$(INGOT)" --folder slt $(ARGS)

test-clients: build
	@scripts/doctor clients
	@scripts/venv "$(VENV)" tests/interop/requirements.txt
	INGOT="$(INGOT)" "$(VENV)/bin/python" -m pytest -q tests/interop
	@scripts/venv "$(TARGET_DIR)/venv-clients" tests/clients/requirements.txt tests/clients/requirements-alone.txt
	INGOT="$(INGOT)" "$(TARGET_DIR)/venv-clients/bin/python" -m pytest -q tests/clients

interop: build ## Compare with Apache Spark and delta-spark (needs Java 17; downloads their packages)
	@scripts/doctor java
	@scripts/venv "$(TARGET_DIR)/venv-spark" tests/interop/requirements-spark.txt
	@scripts/jars "$(TARGET_DIR)/delta-jars"
	INGOT="$(INGOT)" INTEROP_ENGINES=spark DELTA_JARS="$(TARGET_DIR)/delta-jars" \
		"$(TARGET_DIR)/venv-spark/bin/python" -m pytest -q tests/interop/test_readers.py \
		tests/interop/test_features.py tests/interop/test_foreign.py $(ARGS)

build:
	@scripts/doctor build
	$(CARGO) build --locked -p ingot

check: ## Check the format and run clippy with warnings denied
	@scripts/doctor lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) fmt --manifest-path slt/runner/Cargo.toml --check
	$(CARGO) clippy --locked --manifest-path slt/runner/Cargo.toml --target-dir "$(TARGET_DIR)/slt-runner" -- -D warnings

format: ## Format the code
	$(CARGO) fmt --all

bench: ## Run the benchmarks beside their peers (optimised build; see bench/README.md)
	@scripts/doctor clients
	@scripts/venv "$(TARGET_DIR)/venv-bench" bench/requirements.txt
	@scripts/venv "$(TARGET_DIR)/venv-bench-duckdb" bench/requirements-duckdb.txt
	$(CARGO) build --locked --profile bench -p ingot
	INGOT="$(TARGET_DIR)/release/ingot" "$(TARGET_DIR)/venv-bench/bin/python" bench/run.py $(ARGS)

clean-demo: ## Delete the demo's data directory
	rm -rf "$(DATA_DIR)"
