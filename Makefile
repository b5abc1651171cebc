# Scenebrush. `make help` lists the tasks.
#
# Every task runs `setup` first. Setup is the only task that installs anything; stamps make it instant once it has
# run, and after it nothing here needs a network.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory --no-builtin-rules

# `make serve PORT=8123`. Plain variables: a HOST that the shell happens to export must not move the server.
PORT = $(or $(SCENEBRUSH_PORT),8000)
HOST = $(or $(SCENEBRUSH_HOST),127.0.0.1)
# `make test ARGS="tests/models -k spade"`
ARGS =
PYTHON ?= python3
# `make setup CONSTRAINTS=` takes the newest versions that pyproject.toml allows.
CONSTRAINTS = constraints.txt

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
NPM := $(and $(wildcard package.json),$(shell command -v npm))
CHROMIUM := $(shell command -v chromium chromium-browser google-chrome | head -n 1)

# The wrapper looks for a newer pyright on the network unless told not to.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.PHONY: help setup serve test check check-python check-js format check-guards bench bench-engine bench-ui bench-start bench-cluster smoke-train wheel lock chromium

help:  ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.stamp $(if $(NPM),node_modules/.stamp) $(if $(CHROMIUM),,$(VENV)/.chromium-tried)  ## install what the other tasks need (they run it themselves)
	@:

$(VENV)/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Scenebrush needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
	       "Name another one: make setup PYTHON=python3.12" >&2; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { \
	  echo "No virtual environment could be made. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing Python packages; the first time brings torch, several gigabytes with CUDA."
	$(PIP) hatchling
	$(PIP) --no-build-isolation --editable '.[dev]'
	@$(VENV)/bin/pyright --version
	@touch $@

node_modules/.stamp: package.json $(wildcard package-lock.json)
	npm $(if $(wildcard package-lock.json),ci,install --no-package-lock) --ignore-scripts --no-audit --no-fund
	@touch $@

# Browser tests want a real Chromium. Debian's is brought where this may be done without asking; everywhere else a
# line says what is missing, and the tests themselves decide: skipped on a laptop, failed in CI. Tried once by setup,
# so that a machine without a network does not wait for it again and again; `make chromium` tries anew.
$(VENV)/.chromium-tried: | $(VENV)/.stamp
	@$(MAKE) chromium
	@touch $@

chromium:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    chromium fonts-liberation || echo "Chromium could not be installed; browser tests will not run." >&2; \
	else \
	  echo "No Chromium found: browser tests will not run. Debian: apt install chromium" >&2; \
	fi

serve: setup  ## the studio at http://127.0.0.1:8000 (PORT=8123, HOST=0.0.0.0)
	SCENEBRUSH_HOST=$(HOST) SCENEBRUSH_PORT=$(PORT) $(VENV)/bin/scenebrush serve

test: setup  ## every test, the browser's included (ARGS="tests/engine -k patch" for some)
	$(PY) -m pytest $(ARGS)

check: check-python check-js  ## formatting, lint, types and the direction of imports, nothing changed

check-python: setup  ## the Python half of check
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright
	$(PY) -m pytest --quiet tests/project/test_import_direction.py

check-js: setup  ## the JavaScript half of check: types, lint, pure modules
ifneq ($(NPM),)
	npm run --silent check
	node --test $$(find tests/js -name '*.test.js' -o -name '*.test.mjs' | sort)
else
	@echo "JavaScript checks SKIPPED: Node.js 20 or newer with npm is not installed." >&2; [ "$${CI:-}" != true ]
endif

format: setup  ## format the Python and JavaScript sources
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix-only .
ifneq ($(NPM),)
	npx --no-install biome format --write .
endif

check-guards: setup  ## takes away each guard of the server in a copy, and demands that its test fails (ARGS="token")
	$(PY) -m tests.guards $(ARGS)

bench: setup  ## frame times and stroke-to-frame latency; JSON under benchmarks/results/
	$(PY) -m benchmarks $(ARGS)

bench-engine: setup  ## the engine against plain networks of the published sizes (ARGS="--only warm,noise")
	$(PY) -m benchmarks engine $(ARGS)

smoke-train: setup  ## every recipe, tiny: trained, killed, continued to the bit, exported, served (ARGS="-k oasis")
	$(PY) -m pytest -m smoke tests/training $(ARGS)

bench-ui: setup  ## what the page's own code costs per pointer event at 1024 × 1024, replies 2 s late (needs Chromium)
	$(PY) -m benchmarks.ui $(ARGS)

bench-start: setup  ## from the navigation to the first frame drawn, on loopback (needs Chromium)
	$(PY) -m benchmarks.start $(ARGS)

.PHONY: bench-load
bench-load: setup  ## many painters on a server of its own: frames, fairness, memory (ARGS="--curve 1,4,16 --seconds 60")
	$(PY) -m benchmarks.load $(ARGS)

bench-training: setup  ## pictures per second of training, plain against by label patterns
	$(PY) -m benchmarks training $(ARGS)

bench-seams: setup  ## how much the seam of an edited region shows, by each blend
	$(PY) -m benchmarks seams $(ARGS)

bench-cluster: setup  ## two model replicas against one, in pictures per second (two quiet cores)
	$(PY) -m benchmarks.cluster $(ARGS)

wheel: setup  ## build the wheel into dist/
	$(PY) -m pip wheel --no-build-isolation --no-deps --wheel-dir dist .

# Local parts (+cpu, +cu132) are dropped and the CUDA packages left to torch, which pins its own: one list serves all.
lock: setup  ## write the versions installed now into constraints.txt
	@{ sed '/^[^#]/,$$d' constraints.txt; $(PY) -m pip freeze --all --exclude-editable | sed 's/+.*//' \
	  | grep -viE '^(pip|triton|nvidia-.*|cuda-.*)==' | LC_ALL=C sort -f; } > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt
