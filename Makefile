# The one list of commands; CI runs these and nothing else.
python := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup demo test lint types protos protos-check lock bench up

setup: ## installs what is missing: system programs, .venv, the rushes command
	@scripts/setup

demo: setup ## analyses DELIVERY=path, or a small delivery made on the spot
	@$(python) scripts/demo.py $(DELIVERY)

test: setup ## runs every test
	@$(python) -m pytest

lint: setup ## style, import rules, contracts
	ruff check .
	ruff format --check .
	lint-imports
	buf lint

types: setup ## static types
	mypy

protos: setup ## regenerates rushes/api from protos/
	scripts/protos

protos-check: setup ## fails when rushes/api is not current
	scripts/protos --check

lock: setup ## resolves every package anew and writes requirements.lock
	scripts/lock

bench: setup ## one measurement: BENCH=scenes (a module of bench/) ARGS="…"
	@$(python) -m bench.$(or $(BENCH),$(error name one of: $(basename $(notdir $(wildcard bench/*.py))))) $(ARGS)

up: setup ## starts the services on this machine
	@rushes up
