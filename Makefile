# The two commands of README.md, and the few that developers add. Everything else is a script in tests/.

DEVENV := $(CURDIR)/target/release/devenv
SAMPLE := sample

.PHONY: up down test fast bench clean

# From a bare machine to a running stack: the binary, the engine, the base image, the sample project.
up: $(DEVENV)
	$(DEVENV) doctor --fix
	$(DEVENV) init --template supabase --name sample $(SAMPLE)
	$(DEVENV) -C $(SAMPLE) up

down: $(DEVENV)
	$(DEVENV) -C $(SAMPLE) down

# Everything that CI runs.
test:
	tests/run.sh

# What needs no engine.
fast:
	cargo test --lib --test cli --test layering

bench: $(DEVENV)
	cargo bench

clean:
	cargo clean
	rm -rf $(SAMPLE)

# Cargo knows what is out of date; make only knows how to ask it.
.PHONY: FORCE
$(DEVENV): FORCE
	cargo build --release --locked
