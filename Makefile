# Everything runs in a virtual environment that these targets make themselves.
PYTHON ?= python3
# What pip installs for torch; options are allowed, see the README for a CPU-only build.
TORCH ?= torch==2.13.0

BIN := .venv/bin
PIP_INSTALL := python -m pip --disable-pip-version-check install --quiet
INSTALL := $(BIN)/$(PIP_INSTALL) --constraint constraints.txt
OLDEST := .venv-oldest
INSTALL_OLDEST := $(OLDEST)/bin/$(PIP_INSTALL) --constraint constraints-oldest.txt
# Another PYTHON or TORCH makes the environment anew.
CHOICE := $(shell echo '$(PYTHON) $(TORCH)' | cksum | cut -d ' ' -f 1)

export SCIPY_ARRAY_API = 1

.PHONY: demo test test-oldest lint docs dev coverage bench clean

demo: .venv/.plots .venv/.export  ## prune a network on breast cancer and save a figure
	$(BIN)/python examples/demo.py

test: .venv/.tests  ## run the whole test suite, one process per core
	$(BIN)/python -m pytest -n auto

test-oldest: $(OLDEST)/.tests-$(CHOICE)  ## the same with the oldest supported versions
	$(OLDEST)/bin/python -m pytest -n auto

lint: .venv/.lint  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: .venv/.docs  ## build the documentation, warnings are errors
	MPLBACKEND=agg $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

dev: .venv/.plots .venv/.tests .venv/.docs .venv/.lint  ## everything that a contributor needs

coverage: .venv/.tests  ## kernels run as plain Python here, so that they count
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest tests -n auto -m "not slow" \
		--ignore=tests/test_estimator_checks.py \
		--cov=skchaosprune --cov-report=term-missing --cov-fail-under=95

bench: .venv/.plots .venv/.tests .venv/.benchmarks  ## ratios against naive code, torch and scikit-learn
	for script in first_fit epoch kernels fit search scaling memory compact predict c; do \
		$(BIN)/python benchmarks/bench_$$script.py || exit 1; \
	done

clean:
	rm -rf .venv $(OLDEST) build *.egg-info docs/_build docs/auto_examples docs/generated

.venv/.torch-$(CHOICE): constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(INSTALL) $(TORCH)
	@touch $@

.venv/.%: .venv/.torch-$(CHOICE) pyproject.toml
	$(INSTALL) --editable ".[$*]"
	@touch $@

$(OLDEST)/.tests-$(CHOICE): constraints-oldest.txt pyproject.toml
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	$(INSTALL_OLDEST) $(TORCH)
	$(INSTALL_OLDEST) --editable ".[tests]"
	@touch $@
