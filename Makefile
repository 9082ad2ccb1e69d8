# Every target does its own set-up: it needs Python 3.11 or newer, git and a package index. `make help` lists the targets.

PYTHON ?= python3
JOBS ?= auto
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
CODE := src tests bench scripts examples
ONLY ?=
TOOLS ?=
RESUME ?=
SCALE ?= 1
REPEAT ?= 3
CORES ?= 0
DATA ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check fix bench bench-hub docs clean

help: ## list the targets
	@grep -E '^[a-z-]+: .*## ' Makefile | sed -E 's/: .*## /\t/' | expand -t 12

setup: ## make .venv and install everything that development needs; a moment if that was done
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) was not found" >&2; \
	  echo "hint: install Python 3.11 or newer, or say which one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) scripts/setup.py

demo: setup ## show the whole round trip on a hub of its own; DATA=folder takes your own files
	@$(BIN)/python examples/demo.py $(if $(DATA),--data "$(DATA)")

test: setup ## all tests but the slow ones
	$(PYTEST) -n $(JOBS) -m "not slow"

test-all: setup ## all tests, with crash and fuzz campaigns
	$(PYTEST) -n $(JOBS)

check: setup ## format, lint, types, import contracts, caps, fresh docs, fast tests
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy src scripts examples bench
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/check_caps.py $(CODE)
	$(BIN)/python scripts/make_docs.py --check
	$(PYTEST) -q -n $(JOBS) -m "not slow and not wire" tests/core tests/store tests/testing tests/compat tests/scripts tests/test_house.py tests/test_imports.py

fix: setup ## format, and mend what lint can mend
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

bench: setup ## measure beside DVC, git-lfs, rclone and huggingface_hub; ONLY=start,W3 TOOLS=tenuto,dvc SCALE=0.1 REPEAT=3 RESUME=1
	@$(BIN)/python -m bench --only "$(ONLY)" --tools "$(TOOLS)" --scale $(SCALE) --repeat $(REPEAT) --cores $(CORES) $(if $(RESUME),--resume)

bench-hub: setup ## measure the hub beside nginx, Starlette and hf_xet; ONLY=downloads,requests SCALE=0.1 REPEAT=3
	@$(BIN)/python -m bench.hub --only "$(ONLY)" --scale $(SCALE) --repeat $(REPEAT) --cores $(CORES)

docs: setup ## write the generated pages anew
	@$(BIN)/python scripts/make_docs.py

clean: ## remove .venv, caches and benchmark data
	rm -rf .venv .clients .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
