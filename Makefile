# Thin on purpose: each target is one line, the work is in scripts/ and in cargo.
FEATURES = $$(scripts/setup --features)

demo: setup
	cargo run --release $(FEATURES) -- demo $(ARGS)

test: setup
	scripts/test

bench: setup
	scripts/bench $(ARGS)

chaos: setup
	scripts/chaos $(ARGS)

check: setup
	scripts/check

setup:
	scripts/setup

.PHONY: demo test bench chaos check setup
