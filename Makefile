# Every target works on a machine that has only Python 3.12 or 3.13, make and the
# package registries (or SENTRASCAN_WHEELS: a folder of wheels). See README.md.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test test-slow test-chaos test-container test-runbook lint format docs lock wheels bench clean
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## build .venv and one environment per scanner, or repair them
	@python=$$(deploy/find-python.sh) && exec "$$python" deploy/setup.py

setup-dev:
	@python=$$(deploy/find-python.sh) && exec "$$python" deploy/setup.py --dev

run: setup ## run everything here on port 8200 until Ctrl-C
	@exec $(BIN)/python -m sentrascan_project.local

test: setup-dev ## run the whole suite on PostgreSQL and Redis, and on SQLite
	@deploy/test-servers.sh
	SENTRASCAN_TEST_DB=sqlite $(BIN)/python -m pytest -m sqlite $(PYTEST)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST)

test-slow: setup-dev ## run every mutation of every sample through the real tools
	@deploy/test-servers.sh
	$(BIN)/python -m pytest -m exhaustive --numprocesses 2 tests/security $(PYTEST)

test-chaos: setup-dev ## run 200 scans while everything is killed in turn; SEED, SCANS
	@deploy/test-servers.sh
	$(BIN)/python -m tests.drills --scans $(or $(SCANS),200) --seed $(or $(SEED),1)

test-container: ## run the attacks inside the worker's container; needs a Docker engine
	@python=$$(deploy/find-python.sh) && exec "$$python" -m tests.container.run $(PYTEST)

test-runbook: setup-dev ## type the runbooks against real containers; needs a Docker engine
	@exec $(BIN)/python -m tests.runbook.run $(OPTIONS)

lint: setup-dev ## run all static checks
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.house
	$(BIN)/python -m sentrascan_project.configuration --check
	@for script in deploy/*.sh deploy/bin/*.sh .ci/run; do \
		if [ -f "$$script" ]; then bash -n "$$script" || exit 1; fi; done

format: setup-dev ## put the code into its one form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: setup-dev ## write the pages that are made from tables: the configuration
	$(BIN)/python -m sentrascan_project.configuration

lock: setup-dev ## compile the .in files into locks; OPTIONS=--upgrade for newer versions
	@deploy/lock.sh $(OPTIONS)

wheels: setup ## fetch every wheel into DIR, for a set-up without registries
	@for lock in requirements.txt requirements-dev.txt scanners/locks/*.txt; do \
		echo "$$lock"; $(BIN)/python -m pip download --quiet --no-deps \
		--require-hashes --only-binary :all: --dest "$(or $(DIR),wheels)" \
		--requirement "$$lock" || exit 1; done

bench: setup-dev ## run the benchmarks
	@exec $(BIN)/python -m benchmarks

clean: ## remove the environments and caches, not the data in var/
	rm -rf .venv var/scanners .mypy_cache .ruff_cache .pytest_cache
	rm -rf .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './var/*' -prune -exec rm -rf {} +
