# `make` explains every command. Everything is set up inside this folder; nothing needs root.

PYTHON ?= python3
VENV := .venv
EXPORT_VENV := .venv-export
DATA := .thriftgate
ENCODER := $(DATA)/encoder
BIN := $(VENV)/bin
MODEL ?= all-MiniLM-L6-v2
DATASETS ?=
MINUTES ?= 30

.DEFAULT_GOAL := help
.PHONY: help setup encoder run demo test explore check format coverage lock bench chaos soak eval clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@echo "Setting up the environment in $(VENV) (once, about a minute) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# torch serves the export only: a virtual environment of its own, which the server never sees.
$(EXPORT_VENV)/.installed: requirements-export.lock
	@echo "Setting up the encoder export (torch, once, a few minutes) ..."
	$(PYTHON) -m venv $(EXPORT_VENV)
	$(EXPORT_VENV)/bin/python -m pip install -qq --disable-pip-version-check -r requirements-export.lock
	@touch $@

$(ENCODER)/encoder.json: cache/export.py | $(EXPORT_VENV)/.installed
	$(EXPORT_VENV)/bin/python -m cache.export --keep-fp32 --model $(MODEL) --out $(ENCODER)
	@touch $@

setup: $(VENV)/.installed $(ENCODER)/encoder.json ## Set everything up without starting anything

encoder: $(EXPORT_VENV)/.installed ## Export another sentence encoder (MODEL=name or path), or the same one anew
	$(EXPORT_VENV)/bin/python -m cache.export --keep-fp32 --force --model $(MODEL) --out $(ENCODER)

run: setup ## Start the gateway on http://127.0.0.1:8080
	@$(BIN)/thriftgate serve

demo: setup ## Replay a support bot's traffic against a simulated provider and report
	@$(BIN)/thriftgate demo

test: setup ## Run the tests
	THRIFTGATE_ENCODER_DIR=$(ENCODER) $(BIN)/python -m pytest -q

explore: setup ## Run the property tests on examples never tried before
	THRIFTGATE_ENCODER_DIR=$(ENCODER) $(BIN)/python -m pytest -q -m hypothesis --hypothesis-profile=explore

check: $(VENV)/.installed ## Format, lint and type checks
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

format: $(VENV)/.installed ## Format and sort imports
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

coverage: setup ## Run the tests with coverage, subprocesses included
	THRIFTGATE_ENCODER_DIR=$(ENCODER) $(BIN)/python -m coverage run -m pytest -q
	$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report

bench: setup ## Load-test on this machine and write bench-results/
	$(BIN)/python -m benchmarks.bench

chaos: setup ## Break everything around the gateway and check every answer: an hour, writes bench-results/chaos.md
	$(BIN)/python -m benchmarks.chaos

soak: setup ## Mixed load for 30 minutes (MINUTES=...): does anything grow?
	$(BIN)/python -m benchmarks.chaos soak --minutes $(MINUTES)

eval: setup ## Measure the decisions of cache and router, on public data too with DATASETS=folder
	@$(BIN)/thriftgate eval cache $(if $(DATASETS),--data $(DATASETS))
	@$(BIN)/thriftgate eval router $(if $(DATASETS),--data $(DATASETS))

lock: $(VENV)/.installed ## Pin all dependencies anew
	$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	$(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock
	$(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra dev --extra bench pyproject.toml -o requirements-dev.lock

clean: ## Remove environments and caches; data stays
	rm -rf $(VENV) $(EXPORT_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
