# Two commands: `make demo` and `make test`. Both make the environment they need in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := test,microphone,onnx,openvino,labels,train

.PHONY: demo test lint env clean

demo: env ## play a scene through the real node, record, render; prints where the results are
	$(BIN)/avs demo -o demo_output

test: env ## every test (add PYTEST_ARGS="--slow" for the long modes)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/mypy

env: $(STAMP)

$(STAMP): setup.py constraints.txt Makefile
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --upgrade pip "setuptools<81" wheel
	$(BIN)/pip install --quiet -c constraints.txt torch torchvision torchaudio
	$(BIN)/pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

clean:
	rm -rf $(VENV) build dist demo_output *.egg-info
