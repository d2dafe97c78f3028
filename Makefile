# make demo    set up .venv, run the pipeline of params.yaml, print the verdict table
# make test    set up .venv, run linters, type checks and tests
# make bench   measure: see bench/
PYTHON ?= python3
BIN := .venv/bin
export DVC_NO_ANALYTICS = 1
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false

# A virtual environment holds absolute paths, so that of a clone which was moved is made anew.
MOVED := $(shell test -s .venv/.installed && test "$$(cat .venv/.installed)" != "$(CURDIR)" && echo moved)

# pip compiles with one core what it installs; here all do, but for packages' tests and for models that are not imported.
# Not all files that packages bring are Python's, or this Python's.
install = $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '$(1)' \
	&& { $(BIN)/python -m compileall -qq -j 0 -x '/tests/|transformers/models/(?!auto|bert/)' .venv/lib || true; }

.PHONY: demo test check bench clean moved

demo: .venv/.installed
	@$(BIN)/python -m tasks.repro --jobs auto
	@$(BIN)/confidistill report

test: .venv/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

bench: .venv/.installed-dev
	@$(BIN)/python -m bench

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"error: Python {v[0]}.{v[1]} is too old: confidistill needs 3.11 or newer; name one with make PYTHON=...")'
	@$(PYTHON) -m venv .venv

moved:
	@echo "this clone was at $$(cat .venv/.installed) when it was installed: making .venv anew ..."
	@rm -f .venv/.installed .venv/.installed-dev
	@$(PYTHON) -m venv --clear .venv

.venv/.installed: pyproject.toml constraints.txt $(MOVED) | .venv/bin/python
	@echo "installing into .venv ..."
	@$(call install,.[pipeline])
	@$(BIN)/confidistill doctor --quiet
	@$(BIN)/python -m tasks.plots_page
	@echo "$(CURDIR)" > $@

.venv/.installed-dev: .venv/.installed
	@echo "installing the development tools into .venv ..."
	@$(call install,.[dev])
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
