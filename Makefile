# make run    start fer-edge: on a camera if there is one, else on the built-in demo
# make test   all checks and tests
# make clean  remove the environments

PYTHON ?= python3
ARGS ?=

.PHONY: run test lint clean

run: .venv/installed
	.venv/bin/fer-edge run $(ARGS)

test: lint
	.venv-dev/bin/pytest $(ARGS)

lint: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check .
	.venv-dev/bin/mypy
	.venv-dev/bin/lint-imports

.venv/installed: pyproject.toml $(shell find edge models quantize training -type f -not -name '*.pyc')
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet .
	touch $@

.venv-dev/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .venv-dev
