# Needs Python 3.11 or newer and make; everything else is installed into .venv from config/constraints.txt.
# Pass more to a target's command with ARGS, for example:  make demo ARGS="--bars 500 --keep"

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PINNED := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c config/constraints.txt
INPUTS := pyproject.toml config/constraints.txt
ARGS ?=
ONLY ?=

# Without bytecode every start is two to five times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check bench venv docs clean

help:
	@echo "make demo     a paper fund trades months of candles, from an empty machine"
	@echo "make test     every test"
	@echo "make check    lint, types, import contracts, house tests"
	@echo "make bench    the figures; ONLY=name for one module of tests/benchmarks"
	@echo "make docs     write docs/reference from the code"
	@echo "make venv     prepare .venv and stop"
	@echo "make clean    remove .venv and what the tools left behind"

demo: $(VENV)/.runs
	@$(BIN)/python -m compileall -q alphapulse
	@$(BIN)/alphapulse demo $(ARGS)

test: $(VENV)/.tests
	@$(BIN)/python -m compileall -q alphapulse
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house $(ARGS)

bench: $(VENV)/.tests
	@$(BIN)/python -m compileall -q alphapulse
	@$(BIN)/python -m tests.benchmarks $(ONLY) $(ARGS)

docs: $(VENV)/.tests
	$(BIN)/python docs/generate.py

venv: $(VENV)/.tests

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist snapshot_report.html

# What the product needs to run.
$(VENV)/.runs: $(INPUTS)
	@if ! $(BIN)/python -c "" 2>/dev/null; then \
	  for candidate in $(PYTHON) python3.13 python3.12 python3.11; do \
	    if $$candidate -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then \
	      echo "preparing $(VENV) with $$candidate: once, about a minute"; \
	      exec $$candidate -m venv --clear $(VENV); \
	    fi; \
	  done; \
	  echo "AlphaPulse needs Python 3.11 or newer: install one, or name it with make PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi
	@$(PINNED) hatchling
	@$(PINNED) --no-build-isolation --editable ".[daemon]"
	@touch $@

# What its tests and checks need besides.
$(VENV)/.tests: $(VENV)/.runs
	@$(PINNED) --no-build-isolation --editable ".[dev]"
	@touch $@
