# `make help` lists the targets. Needed beforehand: make, Python 3.11 or later with venv and pip.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO_OUT ?= demo-out

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help install demo test lint clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with the node and all that the other targets need

# Made once, with the Python of that day; another PYTHON later needs `make clean` first.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; found " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# The stamp is written last, so an installation that broke off is done again. PYTHONPATH is
# emptied because a package found there would count as installed.
$(INSTALLED): pyproject.toml | $(BIN)/pip
	PYTHONPATH= $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	PYTHONPATH= $(BIN)/python -m pip install --quiet --editable '.[demo,training]' --group dev
	@touch $@

demo: install ## two real studies through the node and back into a small PACS
	$(BIN)/mammonode demo --out $(DEMO_OUT)

lint: install ## style, types and the layers that imports must keep
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint, then every test that is not marked slow
	$(BIN)/pytest --numprocesses auto --dist loadfile

clean: ## remove .venv, caches and what the demo wrote
	rm -rf $(VENV) $(DEMO_OUT) build dist test-artefacts
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
