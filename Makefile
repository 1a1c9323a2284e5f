# `make demo` and `make test` each set up what they need in .venv; nothing is installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread for tests: two torch threads collapse when anything else runs on the machine's cores.
ONE_THREAD := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

# `make bench` runs these, one after the other; it says which others there are.
BENCHMARKS := meto estimate train data readers generate heldout dit decoders

# What the tokenizer is built from: a change of it installs it anew.
METO := $(shell find meto -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.txt' -o -name '*.toml' -o -path 'meto/src/*' \) 2>/dev/null | grep -v -e __pycache__ -e egg-info)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo evaluate test check format bench fuzz clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed  ## make .venv with what is needed to run, the CPU's kernels included

setup-dev: $(VENV)/.installed-dev  ## ... and what tests and linters need

demo: setup  ## generate meshes from examples/ with the shipped weights, and draw them
	$(BIN)/python infer.py ArAE-tiny --resume pretrained/ArAE-tiny --test_path examples --workspace workspace_demo
	$(BIN)/python infer_dit.py DiT-tiny --resume pretrained/ArAE-tiny --resume2 pretrained/DiT-tiny --test_path examples/images --workspace workspace_demo/images

evaluate: setup  ## measure the shipped weights on procedural shapes from an unseen seed: workspace_evaluate/report.html
	$(BIN)/python evaluate.py ArAE-tiny shapes:100 --max_faces 200 --resume pretrained/ArAE-tiny --workspace workspace_evaluate \
	  --json workspace_evaluate/figures.json --report workspace_evaluate/report.html --picture workspace_evaluate/grid.png

test: setup-dev  ## run the tests
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n 2 --dist loadfile

check: setup-dev  ## lint, check the format and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-dev  ## format the code and sort the imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup-dev  ## run the benchmarks that take minutes on a CPU (BENCHMARKS="meto train": those alone); by hand: gpu (needs a GPU), search (hours), full_size_step (13 GiB)
	for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

fuzz:  ## a million random inputs to the tokenizer and the kernels, under AddressSanitizer and UBSan (minutes)
	mkdir -p build
	$(CXX) -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Wno-psabi -Imeto/include -Icore/kernels tests/kernels/fuzz.cpp core/kernels/surfaces.cpp -o build/kernels_fuzz
	build/kernels_fuzz
	$(CXX) -std=c++17 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -Imeto/include meto/fuzz/fuzz.cpp -o build/meto_fuzz -pthread
	build/meto_fuzz

clean:  ## remove .venv and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.created:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed, this is {v.major}.{v.minor}: make PYTHON=... setup")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: requirements.txt $(METO) | $(VENV)/.created
	$(BIN)/pip install -q -r requirements.txt
	$(BIN)/pip install -q ./meto
	$(BIN)/python -m core.kernels
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/pip install -q -r requirements-dev.txt
	touch $@
