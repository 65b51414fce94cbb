# `make demo` shows all of it; `make test lint` is what a change must pass.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-detection faults faults-alerts soak wheel-smoke clean

help:
	@echo "make demo     replay 284,821 real flights through the loop, and see the ledger balance"
	@echo "make test     run the tests"
	@echo "make lint     ruff and basedpyright"
	@echo "make bench    measure throughput and latency"
	@echo "make bench-detection  measure detectors: false alarms, power, delay, speed, beside their peers"
	@echo "make faults   kill, pause and starve everything, and count rows lost and doubled"
	@echo "make faults-alerts  kill alerting, and let receivers fail, hang and lie"
	@echo "make soak     ten minutes at a steady rate"
	@echo "make wheel-smoke  install the wheel into an environment of its own, and join one event there"
	@echo "make clean    remove the environment and everything that was made"

demo: $(VENV)/demo.stamp
	@$(RUN) examples/demo.py

test: $(VENV)/dev.stamp
	@$(RUN) -m pytest -q -n 2

lint: $(VENV)/dev.stamp
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright

bench: $(VENV)/dev.stamp
	@$(RUN) -m benchmarks

bench-detection: $(VENV)/dev.stamp
	@$(RUN) -m benchmarks.detection

faults: $(VENV)/dev.stamp
	@$(RUN) -m benchmarks.faults

faults-alerts: $(VENV)/dev.stamp
	@$(RUN) -m benchmarks.alerts

soak: $(VENV)/dev.stamp
	@$(RUN) -m benchmarks.soak

wheel-smoke: $(VENV)/dev.stamp
	@rm -rf build .loopwatch/wheel && mkdir -p .loopwatch/wheel
	@$(RUN) -m pip wheel --quiet --disable-pip-version-check --no-deps -w .loopwatch/wheel .
	@$(PYTHON) -m venv .loopwatch/wheel/env
	@.loopwatch/wheel/env/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  "$$(ls .loopwatch/wheel/*.whl)[embedded]"
	@cd .loopwatch/wheel && env/bin/python ../../tests/wheel_smoke.py
	@rm -rf .loopwatch/wheel build

clean:
	rm -rf $(VENV) .loopwatch .pytest_cache .ruff_cache .hypothesis build dist *.egg-info benchmarks/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What a stamp stands for is installed, in the versions of constraints.txt; a second run finds it and installs nothing.
$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,flights]'
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV), with what tests and benchmarks need"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,flights,reports,bench,dev]'
	@touch $@ $(VENV)/demo.stamp

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is no Python 3.11, 3.12 or 3.13: say which one to use, such as: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@$(PYTHON) -m venv $(VENV)
