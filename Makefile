# The front door: each target is what CI runs.

SEED ?= 1
ORDERS ?= 300
CACHE := $(or $(MALLBOTS_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mallbots)
export CARGO_TARGET_DIR ?= $(CACHE)/target
BIN := $(CARGO_TARGET_DIR)/debug
FAST := $(CARGO_TARGET_DIR)/release
DENY_VERSION := 0.20.2
DENY := $(CACHE)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
PROGRAMS := -p servers -p mallbots -p mallctl -p load
# Where a Docker engine answers, tests make their containers with the testcontainers crate; elsewhere its minutes of compiling are saved.
ENGINE = $(if $(MALLBOTS_BACKEND)$(MALLBOTS_KAFKA),,$(shell docker info >/dev/null 2>&1 && echo yes))
TEST_FEATURES = $(if $(ENGINE),--features servers/testcontainers)

.PHONY: help demo run test fuzz sim detect crash battery garbage bench bench-kiosk bench-growth lint clean cargo

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

cargo:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust with https://rustup.rs"; exit 1; }

demo: cargo ## the platform with four robots and 300 orders on real servers, checked (SEED=1 ORDERS=300)
	cargo build --locked $(PROGRAMS)
	$(BIN)/servers run --jaeger optional -- $(BIN)/mall-demo --seed $(SEED) --orders $(ORDERS)

run: cargo ## the same platform, stays up until Ctrl-C
	cargo build --locked $(PROGRAMS)
	$(BIN)/servers run --jaeger optional -- $(BIN)/mall-demo --stay

bench: cargo ## orders per second, latencies, cost and the servers' own ceilings, three runs (about 10 minutes; ARGS="--runs 1")
	cargo build --locked --release $(PROGRAMS)
	$(FAST)/servers run --profile bench -- $(FAST)/mall-bench orders $(ARGS)

bench-kiosk: cargo ## the kiosk's REST path by itself
	cargo build --locked --release $(PROGRAMS)
	$(FAST)/servers run --profile bench -- $(FAST)/mall-bench kiosk $(ARGS)

bench-growth: cargo ## whether an order costs the same with 100,000 finished ones in the store
	cargo build --locked --release $(PROGRAMS)
	$(FAST)/servers run --profile bench -- $(FAST)/mall-bench growth $(ARGS)

test: cargo ## every test, unit to end to end, on real servers it brings up
	cargo build --locked --workspace $(TEST_FEATURES)
	$(BIN)/servers run --testcontainers -- cargo test --locked --workspace $(TEST_FEATURES)

SEEDS ?= 1000

sim: cargo ## the platform in one thread under faults drawn from seeds (SEEDS=1000 ARGS="--from 5000"; one seed: ARGS="--seed 42")
	cargo build --locked --release -p sim
	$(FAST)/mallbots-sim $(if $(findstring --seed ,$(ARGS)),,--seeds $(SEEDS)) $(ARGS)

BUG ?= all

# In a folder of its own: a program with bugs in it must not lie where others look for one without.
detect: cargo ## puts classic bugs in, one after another, and shows which means find each and how fast, about an hour (BUG=all)
	CARGO_TARGET_DIR="$(CACHE)/target-bugs" cargo build --locked -p sim -p model $(PROGRAMS) --features sim/bugs,mallbots/bugs
	ulimit -n 8192 && CARGO_TARGET_DIR="$(CACHE)/target-bugs" "$(CACHE)/target-bugs/debug/mallbots-sim" --bug "$(BUG)" \
	    --tests --model --battery $(ARGS)

SECONDS ?= 60
FUZZERS := headers avro writer_schema record rest grpc config pack

fuzz: cargo ## each decoder of outside bytes under libFuzzer, SECONDS each (SECONDS=60 ONLY="avro grpc"); `make test` has a short run
	@cargo +nightly --version >/dev/null 2>&1 || { echo "the nightly toolchain is missing: rustup toolchain install nightly"; exit 1; }
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz"; exit 1; }
	cp Cargo.lock fuzz/Cargo.lock
# What is found on the way stays in the cache; an input that fails is kept in fuzz/artifacts. A codec keeps what it learned
# for ever, by design, so that leaks are not looked for.
	@for fuzzer in $(or $(ONLY),$(FUZZERS)); do mkdir -p "$(CACHE)/fuzz/$$fuzzer"; \
	    CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/fuzz" cargo +nightly fuzz run $$fuzzer "$(CACHE)/fuzz/$$fuzzer" fuzz/corpus/$$fuzzer -- \
	        -max_total_time=$(SECONDS) -timeout=10 -max_len=65536 -detect_leaks=0 -rss_limit_mb=8192 -print_final_stats=1 || exit 1; done

garbage: cargo ## orders run while garbage pours into the topics: parked or refused, memory flat (SEED=1)
	cargo build --locked $(PROGRAMS)
	$(BIN)/servers run --jaeger optional -- $(BIN)/mall-garbage --seed $(SEED)

CRASH_ORDERS ?= 500
ONLY ?=

crash: cargo ## kills each role, the broker and Postgres under 500 orders each, about 20 minutes (SEED=1 CRASH_ORDERS=500 ONLY="depot kafka")
	cargo build --locked $(PROGRAMS)
	$(BIN)/servers run --jaeger optional -- $(BIN)/mall-crash --seed $(SEED) --orders $(CRASH_ORDERS) $(addprefix --only ,$(ONLY))

MINUTES ?= 60
RATE ?= 50
BATTERY ?= battery.json

battery: cargo ## everything fails at once and again, at named places, on three brokers and Postgres (MINUTES=60 RATE=50 SEED=1 BATTERY=battery.json)
	cargo build --locked --release $(PROGRAMS)
	ulimit -n 8192; $(FAST)/servers run --three-brokers --own --jaeger if-built -- \
	    $(FAST)/mall-battery --seed $(SEED) --minutes $(MINUTES) --rate $(RATE) --report "$(BATTERY)" $(ARGS)

lint: cargo $(DENY) ## format, clippy with warnings denied, dependencies, schemas, topics and saga outlines
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(DENY) --offline check bans licenses sources
# The advisory database is a git repository of its own: where it cannot be fetched, that is said and nothing else is.
	@if $(DENY) fetch db >/dev/null 2>&1; then $(DENY) check advisories; \
	else echo "advisories: not checked, the advisory database cannot be reached from here"; fi
	cargo build --locked -p mallctl
	$(BIN)/mallctl schemas check --offline >/dev/null
	$(BIN)/mallctl topics check >/dev/null
	@for outline in orchestrator/outlines/*.txt; do \
	    echo "$$outline"; $(BIN)/mallctl sagas outline "$$(basename "$$outline" .txt)" | diff "$$outline" - || exit 1; done

# Some minutes, once: it stays in the cache.
$(DENY):
	env -u CARGO_TARGET_DIR cargo install cargo-deny --locked --version $(DENY_VERSION) --root "$(CACHE)/cargo-deny-$(DENY_VERSION)"

clean: ## removes what was built; downloads stay in the cache
	rm -rf "$(CARGO_TARGET_DIR)"
