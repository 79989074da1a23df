# `make demo` and `make test` need nothing done before them: they build .venv from requirements.lock themselves.
# A folder `wheels/` (see `make wheels`) makes that work without a network.

PYTHON := $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A venv belongs to one lock and one pyproject: another digest is another stamp, and setup runs again.
STAMP := $(VENV)/stamp-$(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)
PIP := $(BIN)/python -m pip --disable-pip-version-check
OFFLINE := $(if $(wildcard wheels),--no-index --find-links wheels)
JOBS ?= auto
BOARD ?= versa_ecp5_5g

# Hundreds of short processes import the project: what was compiled for the first is kept for the others.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit soak mutate generated generate setup system doctor synth lock wheels clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' $(MAKEFILE_LIST)

demo: setup  ## the whole appliance in simulation, from market data to orders
	$(BIN)/t2t demo

test: lint generated unit  ## everything that must hold: lint, types, generated files, all tests

lint: setup  ## ruff and mypy; a warning is an error
	$(BIN)/ruff check .
	$(BIN)/mypy

generated: setup  ## files made from the definitions in hdl/spec are up to date
	$(BIN)/python scripts/generate.py --check

unit: setup  ## all tests, on all cores; PYTEST_ARGS are handed on
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

soak: setup  ## the long forms of tests that have one: hours
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --soak -m soak $(PYTEST_ARGS)

mutate: setup  ## plant every listed bug, one at a time: each must fail a test; WORDS chooses some
	$(BIN)/python scripts/mutate.py $(WORDS)

generate: setup  ## make those files again
	$(BIN)/python scripts/generate.py

synth: setup  ## place and route for BOARD, figures to constraints/BOARD.json
	$(BIN)/t2t synth $(BOARD)

doctor: setup  ## every tool and package with its version, and what is missing
	$(BIN)/t2t doctor

setup: $(STAMP)  ## virtual environment in .venv, exactly as requirements.lock says

system:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or later is missing. This installs all that is needed:' >&2; \
	  echo '  apt-get update && apt-get install -y python3 python3-venv libpython3.11 g++ make perl' >&2; exit 1; }
	@$(PYTHON) host/system.py

$(STAMP): | system
	@echo 'setting up $(VENV): some hundred megabytes of packages, once' >&2
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet $(OFFLINE) --no-deps -r requirements.lock
	$(PIP) install --quiet --no-index --no-deps --no-build-isolation -e .
	$(PIP) check
	@touch $@

lock: | system  ## choose the newest versions pyproject.toml allows and write them to requirements.lock
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet '.[synth,test,lint]'
	{ echo '# Made by `make lock` from pyproject.toml. Do not edit.'; \
	  build/lock/bin/python -m pip freeze --all --exclude pip --exclude t2t; } > requirements.lock

wheels: | system  ## fetch all packages into wheels/, for a machine without a network
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir wheels -r requirements.lock

clean:  ## all that was made: .venv and build
	rm -rf $(VENV) build
