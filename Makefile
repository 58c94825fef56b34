# Everything runs in a virtual environment that these targets make themselves.
PYTHON ?= python3
# What pip installs for torch; options are allowed, see the README for a CPU-only build.
TORCH ?= torch==2.13.0

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt --editable

export SCIPY_ARRAY_API = 1

.PHONY: demo test lint dev coverage bench clean

demo: .venv/.plots  ## prune a network on breast cancer and save a figure
	$(BIN)/python examples/demo.py

test: .venv/.tests  ## run the whole test suite
	$(BIN)/python -m pytest

lint: .venv/.lint  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

dev: .venv/.plots .venv/.tests .venv/.lint  ## everything that a contributor needs

coverage: .venv/.tests  ## tests with the kernels as plain Python, so that they count
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest --cov=skchaosprune \
		--ignore=tests/test_estimator_checks.py --cov-report=term-missing

bench: .venv/.plots .venv/.tests  ## ratios against naive code, torch and scikit-learn
	for script in epoch kernels memory; do $(BIN)/python benchmarks/bench_$$script.py; done

clean:
	rm -rf .venv build *.egg-info

.venv/.torch:
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet $(TORCH)
	touch $@

.venv/.%: .venv/.torch constraints.txt pyproject.toml
	$(INSTALL) ".[$*]"
	touch $@
