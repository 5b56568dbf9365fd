# `make run` and `make test` do their own set-up; it is redone only when a lock changes.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/full.txt
PIP := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pip --disable-pip-version-check --quiet

# lite is recognition and speech detection; full also what needs torch, and takes 6 GB on Linux.
FLAVOR ?= lite
BUNDLE := dist/$(FLAVOR)/transcription-worker/transcription-worker
SEALED := dist/$(FLAVOR)/sealed
BUNDLE_TESTS := bundle transcribe bad_input session engine cancel cli models live
ifeq ($(FLAVOR),full)
BUNDLE_TESTS += alignment diarization whisperx pipeline live_stages
endif
REAL_BUNDLE_TESTS := samples call options
# More recordings for test-real, in the form of benchmarks/real: a directory, or none.
REAL_RECORDINGS ?= $(wildcard ../shared/real)
# Without a network where the system allows that, and with cached bytecode.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m tests.offline $(BIN)/python -m pytest
# Most tests wait for a process; each of these takes a file at a time.
TEST_PROCESSES ?= 2
SOURCES := $(shell find worker protocol -name '*.py')

.PHONY: help setup models run audit jq test test-slow test-real test-cuda test-electron test-typescript faults soak lint types check lock bundle bundle-test bundle-test-real bundle-clean benchmark clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/.stamp ## make .venv with the pinned install, editable

$(VENV)/.stamp: $(LOCK) pyproject.toml
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(PIP) install --require-hashes --no-deps -r $(LOCK)
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

models: setup ## fetch real models and samples (290 MB) into build/models, hash-checked
	$(BIN)/python -m examples.models

run: setup ## transcribe a telephone call through the worker, shown step by step
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

test-cuda: setup ## what only a machine with a CUDA device can show
	$(BIN)/python -m pytest tests/cuda_device

test-electron: setup ## the Electron example's page, in headless Chromium with the worker (needs Node 20)
	sh examples/electron/scripts/chromium.sh
	npm --prefix examples/electron ci --no-audit --no-fund
	npm --prefix examples/electron test

faults: setup ## 204 faults at random moments; nothing may be lost
	$(BIN)/python -m tests.faults --seed 1 --count 204

soak: setup ## an hour of mixed jobs; nothing may grow
	$(BIN)/python -m tests.soak --minutes 60

test-typescript: setup ## the TypeScript client against the worker (needs Node 18 or later)
	npm --prefix protocol/typescript ci --no-audit --no-fund
	npm --prefix protocol/typescript test

lint: setup ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict, as for each system that the worker runs on
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin
	$(BIN)/mypy --platform win32

audit: setup ## known vulnerabilities of what is locked (asks pypi.org)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/full.txt

check: lint types test ## what should pass before a commit

$(BUNDLE): $(VENV)/.stamp worker.spec $(wildcard hooks/*.py hooks/runtime/*.py) $(SOURCES)
	FLAVOR=$(FLAVOR) PYTHONHASHSEED=1 \
	  SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
	  $(BIN)/pyinstaller --noconfirm --log-level WARN worker.spec \
	  --workpath build/$(FLAVOR) --distpath dist/$(FLAVOR)

bundle: $(BUNDLE) ## freeze the worker into dist/lite (FLAVOR=full: with torch, into dist/full)

# A script that hides the sources from the program and starts it.
$(SEALED): $(BUNDLE) tests/sealed.py
	$(BIN)/python -m tests.sealed $(BUNDLE) $(SEALED)

# Without a variable of ours, so that the program has only those that a test gives it.
bundle-test: $(SEALED) ## the frozen program against the tests of the source, which it cannot see
	env -i $(BIN)/python -m protocol.conformance --profile worker -- $(CURDIR)/$(SEALED)
	env -i FLAVOR=$(FLAVOR) TEST_WORKER=$(CURDIR)/$(SEALED) TEST_BUNDLE=$(CURDIR)/$(dir $(BUNDLE)) \
	  $(BIN)/python -m pytest $(BUNDLE_TESTS:%=tests/test_%.py)

bundle-test-real: $(SEALED) models ## the frozen program on real models and speech
	env -i TEST_WORKER=$(CURDIR)/$(SEALED) \
	  $(BIN)/python -m pytest $(REAL_BUNDLE_TESTS:%=tests/real/test_%.py)

bundle-clean: ## remove what freezing made
	rm -rf build/lite build/full build/quickstart dist

benchmark: setup ## the front, recognition, alignment, speakers, the whole job, real speech and live against peers
	$(BIN)/python -m benchmarks.protocol
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.recognition
	$(BIN)/python -m benchmarks.alignment
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.real
	$(BIN)/python -m benchmarks.live
	$(BIN)/python -m benchmarks.diarization

lock: ## resolve the locks anew (needs uv)
	@for name in full benchmark; do \
	  case $$name in full) extras="full captions test bundle ray audit";; *) extras="test benchmark";; esac; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --no-header --no-emit-index-url --no-emit-find-links \
	    $$(printf ' --extra %s' $$extras) \
	    pyproject.toml --output-file requirements/$$name.txt $(UPGRADE) >/dev/null; \
	done

clean: bundle-clean ## remove the environment, the models and every cache
	rm -rf build
	rm -rf protocol/typescript/node_modules protocol/typescript/dist protocol/typescript/dist-test
	rm -rf $(addprefix examples/electron/,node_modules dist dist-test release)
	rm -rf $(VENV) .venv-benchmark .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
