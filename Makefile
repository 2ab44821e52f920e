# The two commands of README.md, and the few that developers add. Everything else is a script in tests/.

SAMPLE := sample
# The project's name; tests take another one, so that nobody's sample is in their way.
SAMPLE_NAME ?= sample

# Without a binary given from outside, cargo makes one; it knows what is out of date.
ifndef DEVENV
DEVENV := $(CURDIR)/target/release/devenv
BUILD := build
endif

.PHONY: up down test fast fuzz soak bench build clean

# From a bare machine to a running stack: the binary, the engine, the base image, the sample project.
up: $(BUILD)
	$(DEVENV) doctor --fix
	$(DEVENV) init --template supabase --name $(SAMPLE_NAME) $(SAMPLE)
	$(DEVENV) -C $(SAMPLE) up

down: $(BUILD)
	$(DEVENV) -C $(SAMPLE) down

# Everything that CI runs.
test:
	tests/run.sh

# What needs no engine.
fast:
	cargo test --lib --test cli --test layering

# Ten minutes of inputs that nobody wrote, for what reads people's files.
fuzz:
	tests/fuzz/run.sh

# What is too long for every day: two hundred commands killed at random moments (SEED=N for other moments), a hundred
# copies of a busy server, fifty power cuts.
soak:
	cargo test --locked --features failpoints --test live -- --ignored --exact branch_faults::soak_of_200_kills --nocapture
	SOAK=1 cargo test --locked --features failpoints --test live hold:: -- --nocapture

bench: $(BUILD)
	cargo bench

build:
	cargo build --release --locked

clean:
	cargo clean
	rm -rf $(SAMPLE)
