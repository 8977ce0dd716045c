# Everything starts here. Each target makes the environment (.venv) first when it is missing or out of date.

.DEFAULT_GOAL := help
.PHONY: help env up down reset status demo test unit lint format bench faults

RUN := .venv/bin/python
SEEDS ?= 20
WORKERS ?= 3
ARGS ?=

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 18
	@printf '\nSettings are environment variables, e.g. LEGACY_SQLITE_PATH=/some/users.db make up\n'

env: ## make .venv, nothing else
	@sh devstack/environment.sh

up: env ## start the whole stack in the background, wait until it is healthy, print every URL
	@$(RUN) -m devstack up

down: env ## stop the stack; its data stays
	@$(RUN) -m devstack down

reset: env ## stop the stack and remove its data
	@$(RUN) -m devstack reset

status: env ## what of the stack runs
	@$(RUN) -m devstack status

demo: env ## the whole migration on a sample file under live traffic, then stop everything
	@$(RUN) -m devstack.demo

test: env ## all tests (ARGS="-k name" for some)
	@$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

unit: env ## the tests that need no server
	@$(RUN) -m pytest tests/unit

lint: env ## style, types, import rules
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@.venv/bin/lint-imports

format: env ## let ruff rewrite the code
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

bench: env ## the benchmarks, side by side with peers
	@$(RUN) benchmarks/run.py

faults: env ## kills and outages under load, SEEDS=n random schedules
	@$(RUN) -m tests.faults.run --seeds $(SEEDS)
