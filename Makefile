# Every verb does its own set-up: a virtual environment with the pinned, hash-checked packages. The set-up
# is skipped while .venv/.installed is newer than the lock, so the second time needs no network.
#
#   make paper FOR=30m SPEED=20 SEED=7 SERIES=btc-5m WORLD=recording:PATH SUMMARY=summary.json
#
# What is not said is as in config.toml.

CONFIG ?= config.toml
# Compiled files are kept, whatever the surroundings say: images often forbid them, and then each program that a test starts
# compiles what it imports anew. Two files of such tests took a quarter less with them.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.installed

# The first interpreter that every pinned package has a wheel for; an older or newer `python3` in front is common. The
# distribution's own comes first where it can make environments: it is built with profiles, one compiled at home seldom is, and the
# difference is a tenth of all the time this program takes.
SYSTEM_PYTHON := /usr/bin/python3
FIND_PYTHON := for p in $(SYSTEM_PYTHON) python3 python3.11 python3.12 python3.13; do $$p -c 'import ensurepip, sys; \
	sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done

COMMON = $(if $(WORLD),--world '$(WORLD)') $(if $(SERIES),--series '$(SERIES)') \
	$(if $(SPEED),--speed '$(SPEED)') $(if $(SEED),--seed '$(SEED)') $(if $(TERMS),--terms '$(TERMS)') \
	$(if $(FAULTS),--faults '$(FAULTS)')
PAPER = --config '$(CONFIG)' --mode paper $(COMMON) \
	$(if $(FOR),--for '$(FOR)') $(if $(SUMMARY),--summary '$(SUMMARY)')
EXCHANGE = $(if $(PORT),--port '$(PORT)') $(COMMON) \
	$(if $(INTENSITY),--intensity '$(INTENSITY)') $(if $(START),--start '$(START)')

# Three at once on two cores: a scene waits for its clock half of the time. Four took as long.
SPREAD := -q -n 3 --dist worksteal

ASYNC_RULES := ASYNC101,ASYNC102,ASYNC103,ASYNC104,ASYNC113,ASYNC120,ASYNC121,ASYNC123

.PHONY: help paper exchange test check bench soak clean
.DEFAULT_GOAL := help

help:  ## show the verbs
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

# `exec`: the shell becomes Python, so that a signal reaches the program and not a shell in front of it.
paper: $(STAMP)  ## trade on the embedded exchange: FOR= SPEED= SEED= SERIES= WORLD= TERMS= FAULTS= SUMMARY=
	@exec $(PYTHON) -m polybot $(PAPER)

exchange: $(STAMP)  ## run the embedded exchange alone: PORT= SPEED= SEED= SERIES= WORLD= INTENSITY= START= TERMS= FAULTS=
	@exec $(PYTHON) -m polybot exchange $(EXCHANGE)

test: $(STAMP)  ## run the tests
	@exec $(PYTHON) -m pytest $(SPREAD)

check: $(STAMP)  ## lint, types, tests
	$(PYTHON) -m ruff check .
	$(VENV)/bin/flake8-async --enable=$(ASYNC_RULES) $$(find polybot tests -name '*.py')
	$(PYTHON) -m mypy
	@exec $(PYTHON) -m pytest $(SPREAD)

soak: $(STAMP)  ## hunt for our own bugs in simulated lives, for hours: SEEDS= HOURS= DONE=
	@exec $(PYTHON) -m polybot soak --seeds '$(or $(SEEDS),1-1000)' --hours '$(or $(HOURS),0.25)' $(if $(DONE),--done '$(DONE)')

bench: $(STAMP)  ## print the benchmarks
	@exec $(PYTHON) -m polybot.lab.bench

clean:  ## remove the environment and what tools leave behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find polybot tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: an interrupted install is started again, on top of what is there.
$(STAMP): requirements.lock pyproject.toml
	@python="$$($(FIND_PYTHON))"; \
	if [ -z "$$python" ]; then echo "polybot needs Python 3.11, 3.12 or 3.13: install one, beside the one you have" >&2; exit 1; fi; \
	test -x $(PYTHON) || "$$python" -m venv $(VENV)
	@echo "installing the pinned packages (once)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@
