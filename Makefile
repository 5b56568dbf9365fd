# `make run` and `make test` do their own set-up; it is redone only when a lock changes.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Bytecode that no import writes is compiled again at every start.
export PYTHONDONTWRITEBYTECODE :=

# lite is recognition and speech detection; full also what needs torch, and takes 6 GB more on Linux.
# Where FLAVOR is not given, `run` and `bundle` take lite, and all others full.
FLAVOR ?=
SETUP := $(VENV)/.$(or $(FLAVOR),full)
LEAST := $(VENV)/.$(or $(FLAVOR),lite)
FROZEN := $(or $(FLAVOR),lite)
BUNDLE := dist/$(FROZEN)/transcription-worker/transcription-worker
SEALED := dist/$(FROZEN)/sealed
BUNDLE_TESTS := bundle transcribe bad_input session engine cancel cli models live
ifeq ($(FROZEN),full)
BUNDLE_TESTS += alignment diarization whisperx pipeline live_stages
endif
REAL_BUNDLE_TESTS := samples call options
# More recordings for test-real, in the form of benchmarks/real: a directory, or none.
REAL_RECORDINGS ?= $(wildcard ../shared/real)
# Without a network where the system allows that.
PYTEST := $(BIN)/python -m tests.offline $(BIN)/python -m pytest
# Most tests wait for a process; each of these takes a file at a time.
TEST_PROCESSES ?= 2
SOURCES := $(shell find worker protocol -name '*.py')
RESOLVE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-header --no-emit-index-url --no-emit-find-links

.PHONY: help setup models run audit jq test test-slow test-locks test-wine test-real test-cuda test-electron test-electron-app test-typescript faults soak lint types check lock bundle bundle-zip bundle-test bundle-test-real bundle-clean benchmark clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(SETUP) ## make .venv with the pinned install, editable (FLAVOR=lite: without torch)

$(VENV)/.lite: requirements/lite.txt requirements/platforms.py pyproject.toml
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python requirements/platforms.py lite
	@# Python 3.11 puts it into every environment; only freezing needs it.
	$(PIP) uninstall --yes setuptools
	$(PIP) install --require-hashes --no-deps --no-compile --requirement $<
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.full: requirements/full.txt $(VENV)/.lite
	$(BIN)/python requirements/platforms.py full
	$(PIP) install --require-hashes --no-deps --requirement $<
	@touch $@

$(VENV)/.bundle: requirements/bundle.txt $(VENV)/.lite
	$(PIP) install --require-hashes --no-deps --no-compile --requirement $<
	@touch $@

models: setup ## fetch real models and samples (290 MB) into build/models, hash-checked
	$(BIN)/python -m examples.models

run: $(LEAST) ## transcribe a telephone call through the worker, shown step by step
	@$(BIN)/python -m examples.quickstart

test: setup jq ## every guarantee once, within ten minutes
	$(PYTEST) -m "not slow" -n $(TEST_PROCESSES) --dist loadfile

test-slow: setup jq ## the rest: a Ray cluster, faults, kills, long recordings, every combination
	$(PYTEST) -m slow

jq:
	@command -v jq >/dev/null || { apt-get update -qq && apt-get install -y -qq jq; }

test-real: models ## real models on real speech: errors, parity with the packages, options
	REAL_RECORDINGS=$(abspath $(REAL_RECORDINGS)) \
	  $(PYTEST) tests/real

test-locks: $(VENV)/.full ## ask the index whether each platform can install its locks (needs a network)
	$(BIN)/python -m pytest tests/network

test-wine: models ## the code for Windows, under Wine (Linux x86-64, root; 3 GB in build/wine; 45 minutes)
	$(BIN)/python -m tests.wine

test-cuda: setup ## what only a machine with a CUDA device can show
	$(BIN)/python -m pytest tests/cuda_device

test-electron: setup ## the Electron example's page, in headless Chromium with the worker (needs Node 20)
	sh examples/electron/scripts/chromium.sh
	npm --prefix examples/electron ci --no-audit --no-fund
	npm --prefix examples/electron test

test-electron-app: setup models bundle ## the example in a real Electron, from source and packaged (Linux)
	npm --prefix examples/electron ci --no-audit --no-fund
	npm --prefix examples/electron run test-app

faults: setup ## 204 faults at random moments; nothing may be lost
	$(BIN)/python -m tests.faults --seed 1 --count 204

soak: setup ## an hour of mixed jobs; nothing may grow
	$(BIN)/python -m tests.soak --minutes 60

test-typescript: setup ## the TypeScript client against the worker (needs Node 18 or later)
	npm --prefix protocol/typescript ci --no-audit --no-fund
	npm --prefix protocol/typescript test

lint: $(VENV)/.full ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.full ## mypy, strict, as for each system that the worker runs on
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32

audit: $(VENV)/.full ## known vulnerabilities of what is locked (asks pypi.org)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/full.txt

check: lint types test ## what should pass before a commit

$(BUNDLE): requirements/$(FROZEN).txt requirements/bundle.txt worker.spec \
  $(wildcard hooks/*.py hooks/runtime/*.py) $(SOURCES) | $(VENV)/.$(FROZEN) $(VENV)/.bundle
	FLAVOR=$(FROZEN) PYTHONHASHSEED=1 \
	  SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
	  $(BIN)/pyinstaller --noconfirm --log-level WARN worker.spec \
	  --workpath build/$(FROZEN) --distpath dist/$(FROZEN)

bundle: $(BUNDLE) ## freeze the worker into dist/lite (FLAVOR=full: with torch, into dist/full)

bundle-zip: $(BUNDLE) ## also compress it, to give it away
	$(BIN)/python -m hooks.zipped $(dir $(BUNDLE))

# A script that hides the sources, and the environment that runs the tests, from the program.
.PHONY: $(SEALED)
$(SEALED): $(BUNDLE)
	$(BIN)/python -m tests.sealed $(BUNDLE) $(SEALED)

# Without a variable of ours, so that the program has only those that a test gives it.
bundle-test: $(SEALED) ## the frozen program against the tests of the source, which it cannot see
	env -i $(BIN)/python -m protocol.conformance --profile worker -- $(CURDIR)/$(SEALED)
	env -i FLAVOR=$(FROZEN) TEST_WORKER=$(CURDIR)/$(SEALED) TEST_BUNDLE=$(CURDIR)/$(dir $(BUNDLE)) \
	  $(BIN)/python -m pytest $(BUNDLE_TESTS:%=tests/test_%.py)

bundle-test-real: $(SEALED) models ## the frozen program on real models and speech
	env -i TEST_WORKER=$(CURDIR)/$(SEALED) \
	  $(BIN)/python -m pytest $(REAL_BUNDLE_TESTS:%=tests/real/test_%.py)

bundle-clean: ## remove what freezing made
	rm -rf build/lite build/full build/quickstart build/electron-app dist

benchmark: setup ## the front, recognition, alignment, speakers, the whole job, real speech and live against peers
	$(BIN)/python -m benchmarks.protocol
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.recognition
	$(BIN)/python -m benchmarks.alignment
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.real
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.diarization

# full comes first: the others take its versions.
lock: $(VENV)/.full ## resolve the locks anew (UPGRADE=--upgrade: to newer versions)
	$(RESOLVE) --extra full --extra captions --group test --group check --group score \
	  --group bundle --group ray \
	  pyproject.toml --output-file requirements/full.txt $(UPGRADE)
	$(RESOLVE) --extra captions --group test --constraint requirements/full.txt \
	  pyproject.toml --output-file requirements/lite.txt $(UPGRADE)
	$(RESOLVE) --group bundle --constraint requirements/full.txt \
	  --output-file requirements/bundle.txt $(UPGRADE)
	$(RESOLVE) --group test --group score --group benchmark \
	  pyproject.toml --output-file requirements/benchmark.txt $(UPGRADE)

clean: bundle-clean ## remove the environment, the models and every cache
	rm -rf build
	rm -rf protocol/typescript/node_modules protocol/typescript/dist protocol/typescript/dist-test
	rm -rf $(addprefix examples/electron/,node_modules dist dist-test dist-app-test release)
	rm -rf $(VENV) .venv-lite .venv-benchmark .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
