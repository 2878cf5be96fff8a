# Two commands for a newcomer: `make demo` and `make test`. Both do all the set-up they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# --no-compile, below: Python compiles what it imports anyway, and most of what is installed never is.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiled once, then, and not by every process anew, which takes as long as all the rest of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test fast fast-pythons test-main test-runtimes test-authoring test-accounting test-mlflow test-fleet check check-ansible bench graphs migration screenshot docs dist release clean

demo: $(VENV)/.demo
	@$(BIN)/bramble demo $(ARGS)

# With CI set, nothing may be skipped: TensorFlow and the browser must be there.
test: test-main test-runtimes $(if $(CI),test-authoring test-accounting test-mlflow)

# Several files at a time, those that take longest first, unless there is something else to say to pytest. Half of the time a test waits for
# what it started, so there are more at work than an ordinary machine has processors.
test-main: $(VENV)/.dev
	$(BIN)/python -m pytest $(or $(ARGS),-n 4 --dist loadfile --no-loadscope-reorder --durations 20 --durations-min 5)

# Tests that start no process and take little time: what to run while one works, and what another Python would break first. Each of
# pytest's processes reads all tests, so on a machine of two processors a fourth would cost more than it brings.
fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist worksteal --hypothesis-profile fast -m "not process and not browser and not slow" $(ARGS)

# The same on each other Python that is installed, in an environment of its own. A name may be a shim that refuses, so pyenv's and uv's
# own folders are looked into too.
fast-pythons:
	@for version in 3.11 3.12 3.13; do \
	  found=; \
	  for python in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python$$version \
	      "$$HOME"/.local/share/uv/python/cpython-$$version.*/bin/python$$version; do \
	    if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  [ -n "$$found" ] || { echo "there is no Python $$version here"; continue; }; \
	  [ "$$version" = "$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')" ] || \
	    $(MAKE) fast PYTHON="$$found" VENV=.venv-python$$version || exit; \
	done

# The older of the two TFLite runtimes needs an older numpy, so it has an environment of its own.
test-runtimes: $(if $(shell $(PYTHON) -c 'import sys; print(int(sys.version_info < (3, 12)))' | grep 1),.venv-tflite/.ready)
	@if [ -x .venv-tflite/bin/python ]; then .venv-tflite/bin/python -m pytest tests/runtimes; \
	else echo "SKIPPED tests/runtimes on tflite-runtime: it has no wheel for this Python; it needs 3.11"; fi

# TensorFlow (1.6 GB) exports graphs and is needed nowhere else.
test-authoring: .venv-authoring/.ready
	BRAMBLE_REQUIRE_AUTHORING=1 .venv-authoring/bin/python -m pytest tests/authoring

# What a privacy budget counts, against another accountant, whose pins are not ours.
test-accounting: .venv-accounting/.ready
	.venv-accounting/bin/python -m pytest tests/accounting

# Curves in MLflow's own tracking server: of its package the part without pandas and pyarrow, 117 MB.
test-mlflow: .venv-mlflow/.ready
	.venv-mlflow/bin/python -m pytest tests/tracking

# Boots hosts on this machine and deploys to them; needs root on Debian or Ubuntu.
test-fleet:
	PYTHON=$(PYTHON) tests/fleet/run $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd ansible && ../$(BIN)/mypy
	$(BIN)/lint-imports

# The plays, by Ansible's own linter, which lives where Ansible does; a warning is an error.
check-ansible: .venv-fleet/.ready
	cd ansible && PATH="$(CURDIR)/.venv-fleet/bin:$$PATH" ansible-lint --offline --nocolor --strict --profile production --exclude inventories/production

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

# Export the built-in tasks' graphs again, after a change to one of them.
graphs: .venv-authoring/.ready
	.venv-authoring/bin/python -m bramble task export

# A migration of the server's database, from what its tables are to what schema.py says now: make migration MESSAGE="what it does"
migration: ALEMBIC = $(BIN)/alembic -x database=sqlite:///$(SCRATCH)/bramble.db
migration: SCRATCH := $(shell mktemp -d)
migration: $(VENV)/.dev
	$(ALEMBIC) upgrade head
	$(ALEMBIC) revision --autogenerate --message "$(MESSAGE)"
	@rm -r $(SCRATCH)

screenshot: $(VENV)/.dev
	$(BIN)/python -m deploy.screenshot

# The pages of docs/ and the reference, into site/; a broken link or an unknown name is an error.
docs: $(VENV)/.dev
	$(BIN)/zensical build --clean --strict

# What pip installs, of the files as they are.
dist: $(VENV)/.dev
	$(BIN)/python -m deploy.release

# The same, of a commit that says what is new in it; it gets the version's tag.
release: $(VENV)/.dev
	$(BIN)/python -m deploy.release --tag

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Bramble needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'Setting up $(VENV), once ...'
	@$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[server,client,inspector]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo 'Setting up $(VENV) for tests, once ...'
	@$(BIN)/pip install --quiet --no-compile -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

.venv-tflite/.ready: constraints-tflite.txt pyproject.toml
	$(PYTHON) -m venv .venv-tflite
	.venv-tflite/bin/pip install --quiet -r constraints-tflite.txt
	@touch $@

.venv-accounting/.ready: constraints-accounting.txt
	$(PYTHON) -m venv .venv-accounting
	.venv-accounting/bin/pip install --quiet --no-compile -r constraints-accounting.txt
	@touch $@

.venv-mlflow/.ready: constraints-mlflow.txt
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/pip install --quiet --no-compile -r constraints-mlflow.txt
	@touch $@

.venv-authoring/.ready: constraints-authoring.txt pyproject.toml
	$(PYTHON) -m venv .venv-authoring
	.venv-authoring/bin/pip install --quiet --no-compile -c constraints-authoring.txt -e '.[authoring,onnx]' ai-edge-litert smbus2 pytest pytest-timeout
	@touch $@

.venv-fleet/.ready: constraints-fleet.txt
	$(PYTHON) -m venv .venv-fleet
	.venv-fleet/bin/pip install --quiet -r constraints-fleet.txt
	@touch $@

clean:
	rm -rf .venv .venv-flower .venv-python3.* .venv-tflite .venv-authoring .venv-accounting .venv-mlflow build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
