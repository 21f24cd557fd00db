# One word each: setup · demo · check · test · docs · bench · tensorflow · soak · audit · api · usage · neon · sanitize · coverage · mutation. Everything lives in .venv; only Python, make and a C++ compiler are needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo check test docs bench tensorflow soak audit api usage neon sanitize programs coverage mutation clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,dev,docs]"
	touch $@

demo: setup
	$(BIN)/convia train digits

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

docs: setup
	$(BIN)/python tools/notebooks.py --check
	$(BIN)/python tools/imports_picture.py
	$(BIN)/python tools/pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html; with search: $(BIN)/python -m http.server --directory build/site"

bench: setup
	$(BIN)/python tools/bench.py $(NAMES)

tensorflow: .venv-tensorflow/.ready

.venv-tensorflow/.ready:
	$(PYTHON) -m venv .venv-tensorflow
	.venv-tensorflow/bin/python -m pip install --quiet --disable-pip-version-check "tensorflow-cpu==2.15.*"  # the last with a Keras of its own; Python 3.11
	touch $@

soak: setup
	$(BIN)/python tools/soak.py

audit: setup
	$(BIN)/python tools/audit.py

api: setup
	$(BIN)/python tools/api.py $(NAMES)

usage: setup
	$(BIN)/python tools/usage.py $(FOLDER)

neon:
	$(PYTHON) tools/check_engine.py neon

sanitize: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "nanobind>=2.2"
	$(BIN)/python tools/check_engine.py address thread address-python thread-python

coverage: setup
	$(BIN)/python -m coverage run -m pytest -n 2 --dist loadfile
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered

mutation: setup
	$(BIN)/python tools/mutation.py $(NAMES)

programs: setup
	$(BIN)/python -m pytest -q -n 2 tests/compat/test_era_programs.py

clean:
	rm -rf .venv .venv-tensorflow build dist .pytest_cache .mypy_cache .ruff_cache
