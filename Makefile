# Two commands do everything: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# One thread a process: the tests run in $(JOBS) processes, and a library that starts more threads than cores is slower.
TEST_ENV := OMP_NUM_THREADS=1 MPLBACKEND=Agg WANDB_MODE=offline

.PHONY: install demo lint test test-all notebooks clean

install: $(INSTALLED)

# `venv --without-pip` and `pip --python` work where Debian's python3-venv is not installed.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/genoseq demo

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(TEST_ENV) $(BIN)/python -m pytest -m "not slow and not gpu" -n $(JOBS) --dist worksteal

test-all: test notebooks
	$(TEST_ENV) $(BIN)/python -m pytest -m "slow and not gpu" -n $(JOBS) --dist worksteal

notebooks: $(INSTALLED)
	$(TEST_ENV) $(BIN)/python -m pytest --nbmake --nbmake-timeout=900 notebooks

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
