# The two commands of the README: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= out
JOBS ?= 2
PROMPT ?= a large red circle on a white background

.PHONY: demo test lint clean

demo: $(VENV)/compile.stamp
	$(BIN)/aquatint compile demo -o $(OUT)/demo
	$(BIN)/aquatint run $(OUT)/demo "$(PROMPT)" --steps 20 --seed 0 -o $(OUT)/demo.png
	@echo "$(PROMPT): $(OUT)/demo.png"

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not rehearsal" $(TESTS)

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p $(VENV)/lint && ln -sfn "$(CURDIR)" $(VENV)/lint/aquatint
	MYPYPATH=$(VENV)/lint $(BIN)/mypy -p aquatint

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/compile.stamp: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable ".[compile,openvino,ort]"
	touch $@

$(VENV)/dev.stamp: $(VENV)/compile.stamp
	$(BIN)/pip install --quiet --editable ".[compile,openvino,ort,bench,dev]"
	touch $@

clean:
	rm -rf $(VENV) build $(OUT) *.egg-info
