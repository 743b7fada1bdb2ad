# From a bare checkout, with Python >= 3.11 and make only:
#   make demo    a guarded Postgres with sample data, until Ctrl-C
#   make test    the tests
# Everything lands in .venv/, which `make setup` makes; nothing needs root, Docker, a system Postgres or Node.
# Where there is a C compiler the path of every statement is compiled; PGWARDEN_COMPILE=never runs the sources as they stand.

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Which Python makes .venv/: `make setup PYTHON=/path/to/python3.13` overrides the search.
PYTHON ?=
# Tests run in parallel, a file in one process, so that what it shares is made once; `make test PYTEST_WORKERS=0` runs all in one.
PYTEST_WORKERS ?= auto
PIP := $(BIN)/python -m pip install --quiet --no-compile
PYTEST := $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadfile

# Tests and demo start hundreds of processes; without bytecode each would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help setup demo pipeline test test-unit test-interpreted test-deep lint format types imports check bench docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv/ with everything that the other targets need (quick when nothing changed)
	@$(BIN)/python hatch_build.py

# Compiling goes on beside the rest of the installation: it takes about as long.
# A usable Python has venv and ensurepip (Debian packs them apart, as python3-venv). A version manager's
# stub may exist for a version that is not installed, so each candidate is run, not only looked up.
$(STAMP): pyproject.toml requirements.lock
	@set -eu; \
	usable='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	  found=; \
	  for candidate in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
	    if "$$candidate" -c "$$usable" >/dev/null 2>&1; then found=$$candidate; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo "make setup: no Python 3.11 or newer with the venv module found$(if $(PYTHON), at '$(PYTHON)')." >&2; \
	    echo "Install one (on Debian and Ubuntu: apt install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3" >&2; \
	    exit 1; \
	  fi; \
	  echo "making $(VENV)/ with $$("$$found" --version)"; \
	  rm -rf $(VENV); \
	  "$$found" -m venv $(VENV); \
	fi; \
	echo "installing the versions in requirements.lock"; \
	$(PIP) --constraint requirements.lock mypy msgspec setuptools; \
	$(BIN)/python hatch_build.py & compiling=$$!; \
	$(PIP) --no-deps --requirement requirements.lock; \
	$(PIP) --no-deps --no-build-isolation --editable .; \
	wait $$compiling; \
	touch $(STAMP)

demo: setup ## the guarded proxy in front of an embedded Postgres with sample data, until Ctrl-C
	@exec $(BIN)/pgwarden demo $(DEMO)

pipeline: setup ## a deploy from staging to production, and who goes round it: all on this machine, two minutes
	@exec deploy/ci/local.sh

test: setup ## the tests (Postgres 15 only where it is installed; CI=1 insists on it)
	$(PYTEST) tests

test-unit: setup ## the tests that need no server: about a minute
	$(PYTEST) tests/unit

test-interpreted: setup ## the same from the sources as they stand, not as they are compiled
	$(PYTEST) -p tests.interpreted tests/unit tests/fuzz

test-deep: setup ## the same with long fuzzing and the whole oracle sample: up to an hour
	PGWARDEN_DEEP=1 $(PYTEST) tests

lint: setup ## ruff: rules and layout
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## ruff: mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## mypy, strict
	$(BIN)/mypy

imports: setup ## who may import whom
	$(BIN)/lint-imports

check: lint types imports test ## everything that CI runs

# make bench BENCH='--quick --only throughput --json FILE'; PROFILE=1 shows where the time of a query goes.
bench: setup ## direct, PgBouncer and pgwarden side by side (needs pgbouncer)
	@$(BIN)/python -m tests.bench $(if $(PROFILE),profile) $(BENCH)

docs: setup ## renew the generated reference pages
	$(BIN)/python -m docs.generate

# Not a part of setup: it asks the package index what is newest.
lock: ## renew requirements.lock from pyproject.toml
	@set -eu; \
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(or $(PYTHON),python3) -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip install --quiet 'pip>=25.1'; \
	"$$folder/venv/bin/python" -m pip install --quiet --group dev --editable .; \
	{ echo "# Every version of a checkout, made by 'make lock' from pyproject.toml. Do not edit."; \
	  "$$folder/venv/bin/python" -m pip freeze --all --exclude pip --exclude-editable | grep -v -i '^pgwarden' | sort -f; } > requirements.lock

clean: ## remove .venv/ and caches
	rm -rf $(VENV) *.so proxy/*.so proxy/*/*.so proxy/compiled.json .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage* dist build
