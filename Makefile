# The words of the project; `make help` lists them. Only Python 3.11+, git and make are needed: each word sets itself up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check bench fuzz chaos cases docs format clean

help: ## list the words
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("ptbridge needs Python 3.11 or newer; set PYTHON=… to name one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

demo: $(READY) ## a clinic's day from a sandbox EMR to a sandbox biller, on this machine
	@$(BIN)/ptbridge demo

test: $(READY) ## run the tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

check: $(READY) ## format, lint, strict types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(READY) ## measure the hot paths, as ratios taken side by side (LONG=1: also sync of 100,000 encounters)
	@$(BIN)/python -m tests.bench $(if $(LONG),--long)

fuzz: $(READY) ## damaged messages, files and pages into every reader (FUZZ_SECONDS=60); a case is one integer
	@$(BIN)/python -m tests.fuzz

chaos: $(READY) ## break everything around it and count at the biller: each scenario once (CHAOS_SECONDS=3600: for an hour)
	@$(BIN)/python -m tests.chaos $(if $(CHAOS_SECONDS),--seconds $(CHAOS_SECONDS),--rounds 1)

cases: $(READY) ## rewrite the expected golden files; the diff is the review
	@PTBRIDGE_REWRITE_CASES=1 $(BIN)/python -m pytest tests/cases

docs: $(READY) ## rewrite the generated pages (edits, command line, schemas)
	@$(BIN)/python -m tests.make_docs

format: $(READY) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove the virtual environment and what was built
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info
