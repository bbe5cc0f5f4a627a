# Two commands matter: `make demo` and `make test`. Both install what the build needs first, or say
# the one command that does.

SHELL := /bin/bash
.DEFAULT_GOAL := help
KEEP ?= 0
POSTGRES_BENCH ?= ../shared/peers/postgres/bench.sh
FLIPS ?= 1000
BUDGET ?= 10m
SEED ?=
SEEDS ?= 200
FROM ?= 1

.PHONY: help setup build misbehaving demo stop test lint format bench bench-finality compare chaos \
	powercut abuse bitflips sim fuzz bugs growth growth-join matching

help:
	@echo "make demo          four banks' nodes on this machine settle and reconcile a business day, and one lies"
	@echo "make demo KEEP=1   the same, and the nodes stay; make stop ends them"
	@echo "make test          format check, clippy with warnings denied, all tests"
	@echo "make bitflips FLIPS=1000 SEED=1  damages a node's files in so many ways: noticed, or harmless"
	@echo "make fuzz BUDGET=60s  libFuzzer searches every decoder and the ledger's commands, so long each"
	@echo "make bugs          switches on one bug on purpose after the other, and shows which test finds it"
	@echo "make build         release binaries in target/release"
	@echo "make bench         throughput and latency of three local nodes"
	@echo "make bench-finality  what certificates cost, and how fast proofs are verified"
	@echo "make chaos BUDGET=10m SEED=1     nodes are killed, paused, cut off, given wrong clocks; a checker judges"
	@echo "make powercut BUDGET=10m SEED=1  nodes lose what they had not synced (needs root); a checker judges"
	@echo "make sim SEEDS=200 FROM=1  simulates four nodes whose machines, disks, clocks and network fail"
	@echo "make abuse         what an honest client notices while a member, or a stranger, attacks a node"
	@echo "make growth TRANSFERS=1000000,10000000 ACCOUNTS=10000  speed, memory, disk and start-up as it grows"
	@echo "make matching SIZES=10000,1000000  how fast two books agree, at so many postings and entries"
	@echo "make growth-join GIB=5  how fast an empty node joins a consortium of so many gibibytes"
	@echo "make compare       the ledger and PostgreSQL by turns, and their ratios (needs Debian's postgresql-15, and root)"
	@echo "make lint          buf lint of the schema (needs npm)"

setup:
	@deploy/build/setup.sh
	@deploy/build/rocksdb.sh

build: setup
	cargo build --locked --release -p counterfoil-node -p counterfoil

# The liar of the demo and of the tests. It is never built as a release.
misbehaving: setup
	cargo build --locked -p counterfoil-node --features misbehaviour --bin counterfoil-node-misbehaving

demo: build misbehaving
	@KEEP=$(KEEP) deploy/demo/demo.sh

stop:
	@deploy/demo/demo.sh stop

test: setup
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked -p counterfoil-node --all-targets --features misbehaviour -- -D warnings
	cargo build --locked -p counterfoil-node -p counterfoil
	$(MAKE) --no-print-directory misbehaving
	cargo test --locked --workspace
	cargo clippy --locked -p counterfoil-tests --features simulation --bin simulate -- -D warnings
	$(SIMULATE) --seeds 6 --seconds 15 --replays

bitflips: setup
	cargo build --locked -p counterfoil-node -p counterfoil
	cargo run --locked -p counterfoil-tests --example bitflips -- --flips $(FLIPS) --seed $(or $(SEED),1)

# So long for each of two dozen targets.
fuzz: BUDGET = 60s
fuzz: setup
	@fuzz/fuzz.sh $(BUDGET)

# Everything is compiled first: a campaign has so much time and no more.
bugs: setup
	cargo build --locked -p counterfoil-node -p counterfoil
	$(MAKE) --no-print-directory misbehaving
	cargo test --locked --no-run -p counterfoil-node --features misbehaviour --lib
	cargo test --locked --no-run -p counterfoil-tests
	cargo build --locked -p counterfoil-tests --features simulation,counterfoil-node/misbehaviour --bin simulate
	cargo run --locked -p counterfoil-tests --example bugs -- control

lint:
	cd proto && npx --yes @bufbuild/buf lint

format:
	cargo fmt --all

bench: build
	@deploy/bench/bench.sh

bench-finality: build
	@deploy/bench/finality.sh
	@cargo run --locked --release -p counterfoil-ledger --example verify_speed

# Campaigns run the programs of the tests, in which clocks can be made to jump.
chaos powercut: setup
	cargo build --locked -p counterfoil-node -p counterfoil
	$(MAKE) --no-print-directory misbehaving
	cargo test --locked -p counterfoil-tests --test $@ -- --budget $(BUDGET) $(if $(SEED),--seed $(SEED))

# Each seed is a process with a simulated clock, disk and network; the same seed does the same again.
SIMULATE = cargo run --locked -p counterfoil-tests --features simulation --bin simulate --

sim: setup
	$(SIMULATE) --seeds $(SEEDS) --from $(FROM)

abuse: build
	@cargo run --locked --release -p counterfoil-tests --example abuse -- $(ATTACKS)

# How fast two books agree, at so many postings and entries: make matching SIZES=10000,100000,1000000
SIZES ?= 10000,100000,1000000
matching: build
	@cargo run --locked --release -p counterfoil-tests --example matching -- $(SIZES)

# An empty node joins a consortium that has so many gibibytes: make growth-join GIB=5
growth-join: build
	@cargo run --locked --release -p counterfoil-tests --example join -- --gib $(or $(GIB),1)

# What becomes of speed, memory, disk and start-up at these sizes.
TRANSFERS ?= 1000000,10000000
ACCOUNTS ?= 10000
growth: build
	@cargo run --locked --release -p counterfoil-tests --example growth -- --accounts $(ACCOUNTS) --transfers $(TRANSFERS)

compare: build
	@deploy/bench/compare.sh $(POSTGRES_BENCH)
