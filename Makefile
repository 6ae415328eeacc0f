# Roost: everything is a target, and every target installs what it needs into .venv first.

VENV := .venv
DJANGO6 := .venv-django6
PY := $(VENV)/bin/python
# A demo must not pick up somebody's production database from the shell it is started in.
CLEAN := env $(foreach name,$(filter-out ROOST_DEMO_%,$(filter ROOST_% DATABASE_URL DJANGO_%,$(.VARIABLES))),-u $(name))
ONLY ?=

.DEFAULT_GOAL := help
.PHONY: help install install-django6 install-newest demo console test test-django6 crash soak fuzz bench mutants docs lock audit
.PHONY: check check-types check-style check-django check-tests clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Install into .venv, every file checked against its hash
	@sh deploy/install.sh $(VENV) 3.11 constraints.txt

demo: install ## See an item survive the kill -9 of its worker (SQLite; URL=… to watch your own page)
	@$(CLEAN) $(PY) manage.py roost demo $(if $(URL),--url "$(URL)")

console: install ## Serve the console with demo data and a running worker (PORT=…, ROOST_DEMO_PASSWORD=…)
	@$(CLEAN) $(if $(ROOST_DEMO_PASSWORD),ROOST_DEMO_PASSWORD="$$ROOST_DEMO_PASSWORD") \
		$(PY) -m roost_project.console $(if $(PORT),--port "$(PORT)")

test: install install-newest ## Run the suite on SQLite and PostgreSQL, and on Django 6 where a Python for it is found
	@$(PY) -m tests.suite $(foreach database,$(ONLY),--only $(database)) \
		$$(test ! -x $(DJANGO6)/bin/python || echo --django6 $(DJANGO6)/bin/python) $(ARGS)

test-django6: install-django6 ## Run the suite, but for its slow tests, on Django 6 and SQLite
	@$(DJANGO6)/bin/python -m tests.suite --only sqlite --label django6 -m "(not slow and not plain and not matrix) or newest" $(ARGS)

install-newest:
	@if sh deploy/python.sh 3.12 >/dev/null 2>&1; then $(MAKE) --no-print-directory install-django6; \
	else echo "Django 6 not tested: no Python 3.12 or newer here."; fi

install-django6:
	@sh deploy/install.sh $(DJANGO6) 3.12 constraints.txt constraints-django6.txt

crash: install ## Let processes fail at every point of every scenario, and print what came of it (ONLY=…, RENDER=1)
	@$(PY) -m tests.crash $(foreach database,$(ONLY),--only $(database)) $(if $(RENDER),--render) $(ARGS)

soak: install ## Kill workers and restart PostgreSQL under a mixed load, and judge it (MINUTES=10, SEED=…, NIGHTLY=1)
	@$(PY) -m tests.soak $(if $(NIGHTLY),--nightly) $(if $(MINUTES),--minutes "$(MINUTES)") \
		$(if $(SEED),--seed "$(SEED)") $(ARGS)

fuzz: install ## Ask a running server of the API all that its description allows, and more (ONLY=…, SEED=…, EXAMPLES=40)
	@$(PY) -m tests.fuzz $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed "$(SEED)") $(if $(EXAMPLES),--examples "$(EXAMPLES)")

check: install ## Lint, types, import contracts, migrations, deployment checks
	@mkdir -p build
	@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j 2) \
		check-types check-style check-django check-tests

# The Django plugin's cache goes stale when a model is added; only a run without one counts as a failure.
check-types:
	@$(VENV)/bin/mypy || { rm -rf .mypy_cache && $(VENV)/bin/mypy; }

check-style:
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/lint-imports

check-django:
	@$(CLEAN) $(PY) manage.py makemigrations --check --dry-run
	@$(CLEAN) ROOST_SECRET_KEY=$$($(PY) -c "import secrets; print(secrets.token_urlsafe(64))") \
		ROOST_ALLOWED_HOSTS=roost.example $(PY) manage.py check --deploy --fail-level WARNING

# Leaves the tests' bytecode behind, too, which every process of the suite would have to make.
check-tests:
	@$(PY) -m tests.suite --only sqlite --label collected --collect-only -qq -n 0 >build/collected.log || \
		{ cat build/collected.log; exit 1; }

bench: install ## Measure, beside this machine's floors, one JSON line a figure (QUICK=1, PEERS=1, ARGS=names)
	@QUICK=$(QUICK) PEERS=$(PEERS) $(PY) -m tests.benchmarks $(ARGS)

mutants: install ## Break one mechanism at a time in a copy and see that a test notices (ARGS=part of a name)
	@$(PY) -m tests.mutants $(ARGS)

docs: install ## Build the documentation into build/docs
	@$(PY) -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

lock: install ## Resolve every dependency anew and write the constraints files
	@test -x build/lock/bin/uv || { $(PY) -m venv build/lock && build/lock/bin/python -m pip install --quiet uv; }
	@PATH="$(CURDIR)/build/lock/bin:$$PATH" $(PY) deploy/lock.py

audit: install ## Ask what is known against the locked versions; it takes a network
	@$(PY) deploy/audit.py build/audit

clean: ## Remove what installing, building and running left behind
	@rm -rf $(VENV) $(DJANGO6) build dist demo artifacts workspaces staticfiles db.sqlite3* .secret-key *.egg-info
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
