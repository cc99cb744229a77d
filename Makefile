# Everything runs from .venv, which `make` creates on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo run test bench chaos soak stalls fuzz mutate audit sbom pins lint clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	@echo "Setting up $(VENV) (first run only) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@# The Helm engine for the chart's tests; it runs on every Python here, whatever it declares.
	@$(BIN)/pip install --quiet --disable-pip-version-check --ignore-requires-python 'helm-sdkpy>=0.1.28' || true
	@touch $@

demo: $(STAMP) ## Play a stream through a running sidecar and show the labels (DEMO_ONCE=1: then exit; LLM=stub)
	@$(if $(filter stub,$(LLM)),$(BIN)/python -m tests.labelling.llm.demo,$(BIN)/waybill demo) $(if $(DEMO_ONCE),--once)

run: $(STAMP) ## Serve on 127.0.0.1:9880
	$(BIN)/waybill serve

test: $(STAMP) ## Lint, type-check and run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal --cov --cov-report=term:skip-covered

bench: $(STAMP) ## Measure the ratios against their yardsticks (writes bench.json)
	$(BIN)/waybill bench

chaos: $(STAMP) ## Kill it 20 times under 200,000 records, each way in and out; all faults (CHAOS_SEED)
	CHAOS_RECORDS=200000 CHAOS_KILLS=20 CHAOS_LONG=1 $(BIN)/pytest tests/chaos tests/e2e/test_*fluent_bit*.py -s -o timeout=3600

soak: $(STAMP) ## Steady load for an hour: memory, descriptors, records (SOAK_SECS, SOAK_RATE)
	$(BIN)/python -m tests.chaos.soak --secs $(or $(SOAK_SECS),3600) --rate $(or $(SOAK_RATE),100000)

stalls: $(STAMP) ## How long the event loop stands still under bombs, giant bodies and reloads
	$(BIN)/python -m tests.chaos.stalls

FUZZ_SECS ?= 20
fuzz: $(STAMP) ## Fuzz every decoder for FUZZ_SECS seconds each; what is found becomes a fixture
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@for target in $$($(BIN)/python -m tests.input.targets); do \
		echo "== $$target"; $(BIN)/python -m tests.input.fuzz $$target $(FUZZ_SECS) || exit 1; done

MUTANTS ?= waybill.wire* waybill.ops.auth* waybill.ingest.http* waybill.labelling.llm.guards*
mutate: $(STAMP) ## Change the code in thousands of small ways and see whether a test notices (hours)
	@$(BIN)/pip install --quiet --disable-pip-version-check 'mutmut==3.8.0'
	@# This version reads an attribute of pytest's that the newest pytest has under its public name only.
	@find $(VENV) -path '*/mutmut/runners/harness.py' -exec sed -i 's/item\._nodeid/item.nodeid/' {} +
	$(BIN)/mutmut run $(foreach name,$(MUTANTS),"$(name)")

audit: $(STAMP) ## Ask for known vulnerabilities of everything installed
	@$(BIN)/pip install --quiet --disable-pip-version-check 'pip-audit>=2.10'
	$(BIN)/pip-audit --skip-editable

sbom: $(STAMP) ## Write sbom.json (CycloneDX) of everything installed
	@$(BIN)/pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7.0'
	$(BIN)/cyclonedx-py environment $(VENV) --pyproject pyproject.toml --output-reproducible -o sbom.json

pins: $(STAMP) ## Pin what the image needs, with hashes; with the Python of deploy/Dockerfile (deploy/requirements-serve.txt)
	@$(BIN)/pip install --quiet --disable-pip-version-check 'pip-tools>=7.5'
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-trusted-host --no-emit-options \
		--extra gemini --extra hub --extra redis -o deploy/requirements-serve.txt pyproject.toml

lint: $(STAMP) ## Fix what can be fixed, report the rest
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

clean: ## Remove the environment and everything generated
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage bench.json sbom.json mutants
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
