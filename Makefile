# make train   .venv, dependencies, build, then LeNet-5 on real handwritten digits, fastconv beside torch.nn
# make test    the same set-up, then every test; pass more by ARGS="-k conv2d -x"
# make test-cuda-sweep  the CUDA kernels on the CPU, every case in every type: docs/cuda.md
# make test-isa-sweep   every test of kernels on every instruction set of this CPU; make test runs a fifth of them
# make gpu-check  on a machine with an NVIDIA GPU: build, check and measure the CUDA kernels, 8 minutes: docs/cuda.md
# make lint    clang-format and ruff
# make bench   20 minutes, alone on the machine: fastconv beside its peers; bench-quick: 2 minutes; ARGS="--help" for parts
# make docs    the documentation site in build/site; docs-serve: the same at 127.0.0.1:8000, rebuilt while pages are edited
# make docs-tools  what make docs needs; where it is there, make test builds the site, too
# make wheel-check  a source distribution, a wheel from it, repaired, and tried without a compiler; ARGS="--torch 2.13.0 --torch 2.14.1"
# make test-standalone  builds fastconv._standalone and runs a package of AOTInductor in a program without Python
# make report  README, tables and pictures from the newest committed result of make bench
PYTHON ?= python3
VENV ?= .venv
DOCS_VENV ?= build/docs-venv
WHEEL_VENV ?= build/wheel-venv
BIN := $(VENV)/bin
SOURCES := $(shell find csrc -path csrc/cuda -prune -o \( -name '*.cpp' -o -name '*.h' -o -name '*.inl' \) -print) setup.py pyproject.toml

.PHONY: train test test-cuda-sweep test-isa-sweep test-standalone gpu-check wheel-check lint bench bench-quick docs docs-serve docs-tools report build clean

train: build
	$(BIN)/fastconv train $(ARGS)

test: build
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 $(ARGS)

# CUDA kernels on the SIMT shim, every case in every type
test-cuda-sweep: build
	FASTCONV_CUDA_SWEEP=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 4 tests/cuda $(ARGS)

# With the Python and the torch that are here: no environment is made, nothing is downloaded.
gpu-check:
	$(PYTHON) -m benchmarks.gpu $(ARGS)

test-isa-sweep: build
	FASTCONV_ISA_SWEEP=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 4 tests/kernels/test_isa.py $(ARGS)

test-standalone: build
	FASTCONV_STANDALONE=1 $(BIN)/python setup.py build_ext --inplace
	$(BIN)/python -m pytest -q tests/torch/test_standalone.py $(ARGS)

wheel-check: $(WHEEL_VENV)/.requirements
	$(WHEEL_VENV)/bin/python tests/support/wheel_check.py $(ARGS)

lint: $(VENV)/.requirements
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(find csrc -name '*.cpp' -o -name '*.h' -o -name '*.inl' -o -name '*.cu' -o -name '*.cuh')

bench: build $(VENV)/.requirements-bench
	$(BIN)/python -m benchmarks.bench $(ARGS)

bench-quick: build
	$(BIN)/python -m benchmarks.bench --quick $(ARGS)

docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs-tools: $(DOCS_VENV)/.requirements

docs: docs-tools
	$(DOCS_VENV)/bin/mkdocs build --strict $(ARGS)

docs-serve: docs-tools
	$(DOCS_VENV)/bin/mkdocs serve --strict $(ARGS)

report: build
	$(BIN)/python -m benchmarks.report $(ARGS)

build: $(VENV)/.built

$(VENV)/.requirements: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.requirements-bench: $(VENV)/.requirements requirements-bench.txt
	$(BIN)/python -m pip install --quiet -r requirements-bench.txt
	touch $@

$(DOCS_VENV)/.requirements: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet -r requirements-docs.txt
	touch $@

$(WHEEL_VENV)/.requirements: requirements-wheel.txt
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet -r requirements-wheel.txt
	touch $@

$(VENV)/.built: $(VENV)/.requirements $(SOURCES)
	FASTCONV_DEBUG=1 $(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) build runs fastconv/_*.so *.egg-info
