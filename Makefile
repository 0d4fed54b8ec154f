# Every target prepares what it needs from nothing and is quick the second time.
#   make demo        a running node with an invented province in it; prints the address
#   make test        all tests but the long ones (under 15 minutes on two cores)
#   make test-full   the long ones too: properties, crashes, sizes (under 45 minutes)
#   make check       format, lint, types, layers, tidiness, locks (under a minute)
#   make format      lay out code; wrap comments and docstrings that are too wide
#   make audit       known vulnerabilities of the locked packages
#   make ui          every page in a browser: what is wrong with it, with pictures, in build/ui
#   make bench       what is slower than at COMPARE, a commit (without: the one before)
#   make figures     the numbers, against their targets
#   make bench-search  searches of a node in FOLDER of SIZE 100k, 1m or 10m; filled when it is not
#   make bench-pages  pages and forms of the same node with a county's persons in it
#   make bundle      everything needed to install without a network, in dist/
#   make lock        renew the lock files (make lock UPGRADE=1: with the newest versions)

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-full ui check format audit bench figures bench-search bench-pages
.PHONY: bundle lock set-up browser

PYTHON_IN := .venv/bin/python
# Measured: see docs/how-to/develop.md.
WORKERS ?= 2
# Containers often forbid to keep what was compiled; then each of some hundred processes compiles
# all of the tree anew, in 2.1 s of processor instead of 1.0.
export PYTHONDONTWRITEBYTECODE :=
PEOPLE ?= 2000
# The largest pieces first: what goes to one process whole must not be left for the end.
QUICK := $(wildcard $(addprefix tests/,journeys contract property unit golden tidy) \
	tests/test_applications.py)

help:
	@grep -E '^#   make' Makefile | cut -c5-

set-up:
	@tools/set_up.sh dev
	@tools/set_up.sh printing

browser:
	@tools/set_up.sh browser

demo:
	@tools/set_up.sh runtime
	@tools/set_up.sh printing
	@.venv/bin/quanmin demo --people $(PEOPLE)

test: set-up browser
	@echo "== tests: $(notdir $(QUICK)), $(WORKERS) at a time"
	@$(PYTHON_IN) -m pytest $(QUICK) -n $(WORKERS) --dist loadgroup -q

test-full: set-up browser
	@echo "== all tests, the long ones too, $(WORKERS) at a time"
	@QUANMIN_TESTS=full $(PYTHON_IN) -m pytest tests -n $(WORKERS) --dist loadgroup -q

ui: set-up browser
	@PYTHONPATH=tools $(PYTHON_IN) -m ui $(or $(FOLDER),build/ui) --looks $(or $(LOOKS),one) --timed

check: set-up
	@echo "== format" && .venv/bin/ruff format --check --quiet .
	@echo "== lint" && .venv/bin/ruff check --quiet .
	@echo "== types" && .venv/bin/mypy
	@echo "== layers" && .venv/bin/lint-imports --no-logo
	@echo "== locks" && $(PYTHON_IN) tools/lock.py --check
	@echo "== tidiness" && $(PYTHON_IN) -m pytest tests/tidy -q

format: set-up
	@$(PYTHON_IN) tools/wrap.py
	@.venv/bin/ruff check --select I --fix --quiet . && .venv/bin/ruff format .

audit: set-up
	@$(PYTHON_IN) tools/audit.py

bench: set-up
	@$(PYTHON_IN) benchmarks/compare.py $(COMPARE) $(BENCH)

figures: set-up
	@$(PYTHON_IN) benchmarks/run.py

bench-search: set-up
	@PYTHONPATH=benchmarks $(PYTHON_IN) -m search.run --folder $(FOLDER) --size $(SIZE)

bench-pages: set-up
	@PYTHONPATH=benchmarks $(PYTHON_IN) -m pages.run --folder $(FOLDER) --size $(SIZE)

bundle: set-up
	@$(PYTHON_IN) tools/bundle/bundle.py

lock: set-up
	@$(PYTHON_IN) tools/lock.py $(if $(UPGRADE),--upgrade)
