# `make help` lists the targets.
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?=
export PYTHON

# Absolute, and in quotes wherever it is used: both it and the checkout may lie in a path with spaces.
override VENV := $(shell realpath -m -- '$(VENV)' 2>/dev/null || echo '$(CURDIR)/$(VENV)')
RUN := '$(VENV)/bin/python'
PYTEST_ARGS ?=
STACKS ?=
WORKERS ?= 2

.PHONY: help setup demo test test-slow test-matrix lint docs package mmcv-ops

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || \
	    sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' Makefile
	@echo
	@echo '  VENV=DIR      the virtual environment (default: .venv)'
	@echo '  WORKERS=N     test processes, about 2 GB of memory each (default: 2)'
	@echo '  STACKS=NAMES  which stacks of docs/compatibility.md (default: all)'
	@echo '  PYTHON=EXE    the Python 3.10 to 3.13 to make it with (default: python3)'

setup:  ## make the virtual environment; leaves alone what is up to date
	@.dev_scripts/setup.sh '$(VENV)'

demo: setup  ## train an ECA Mask R-CNN on drawn shapes and show what it finds (CPU, minutes)
	@$(RUN) tools/demo_shapes.py

# Every process that a test starts would compile our modules again.
test: export PYTHONDONTWRITEBYTECODE :=
test: setup  ## run the default tests
	@$(RUN) -m pytest -m 'not slow' -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
	    $(PYTEST_ARGS)

test-slow: setup  ## run the tests that take long
	@$(RUN) -m pytest -m slow $(PYTEST_ARGS)

test-matrix:  ## run the default tests in every supported stack, an environment each (hours)
	@WORKERS=$(WORKERS) .dev_scripts/test_matrix.py $(STACKS)

lint: setup  ## check style, spelling, types, shell scripts, configs and metafiles
	@.dev_scripts/lint.sh '$(VENV)'

docs: setup  ## build the documentation site into docs/_build/html; a warning is an error
	@$(RUN) -m sphinx -W --keep-going -q -E -j auto docs docs/_build/html
	@echo '==> docs/_build/html/index.html'

package: setup  ## build the source distribution and the wheel into dist/, and check them
	@rm -rf build dist
	@$(RUN) -m build --no-isolation >/dev/null
	@$(RUN) -m twine check --strict dist/*

mmcv-ops: setup  ## build mmcv with compiled operators into the environment (20 minutes or more)
	@.dev_scripts/build_mmcv_ops.sh '$(VENV)'
