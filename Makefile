# Two commands: `make demo` and `make test`. Both make the environment they need in .venv,
# with a real ROS 2 in it where g++ is there to compile its message packages.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGE := $(VENV)/.installed
ROS := $(VENV)/.ros
EXTRAS := demo,test,docs,microphone,onnx,openvino,labels,train,recipes

.PHONY: demo test lint docs env clean

demo: env ## play a scene through the real node, record, render; prints where the results are
	$(BIN)/avs demo -o demo_output

test: env ## every test (add PYTEST_ARGS="--slow" for the long modes)
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: env ## the site of docs/, in build/site; a dead link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

env: $(PACKAGE) $(ROS)

$(PACKAGE): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --upgrade pip "setuptools<81" wheel
	@echo "PyTorch: installing"
	$(BIN)/pip install --quiet -c constraints.txt torch torchvision torchaudio
	@echo "avs_ros and what it needs: installing"
	$(BIN)/pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

# Status 3: it cannot be built on this machine, and says why. Everything but the nodes works
# without; it is tried again next time.
$(ROS): $(PACKAGE) tools/ros_wheels.py $(shell find avs_ros/data/msgs -name '*.msg')
	@$(BIN)/python tools/ros_wheels.py && touch $@ || [ $$? -eq 3 ]

clean:
	rm -rf $(VENV) build dist demo_output *.egg-info
