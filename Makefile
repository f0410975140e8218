# make demo    the main job end to end, from nothing        make test   all tests
# make quick   tests without examples, documented commands, the browser and the slowest of the others
# make setup   .venv and installation only                  make lint   ruff, formatting, mypy
# make bench   speed against peers                          make clean  removes what the others made
# make findings   the papers' tables and claims, small: hours, docs/findings.md
# make selection  the third paper's systems, small, three seeds: docs/selection.md
# make explore    a page to play with the demo's models         make screenshots   its pictures in docs
# make gpu-bundle   one folder that measures all this on a GPU: docs/gpu.md
# make interruptions   the demo, killed in each of its stages, against one that nothing disturbed
#
# EXAMPLE=addition runs examples/addition instead of examples/demo, SIZE=tiny another size of it.
# PYTHON=python3.10 chooses another interpreter (3.9 to 3.12).

PYTHON ?= python3
EXAMPLE ?= demo
SIZE ?=
JOBS ?= 2
BIN := .venv/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
INSTALLED := .venv/installed-$(VERSION)

# Relative on purpose: pip splits PIP_CONSTRAINT at spaces, and a checkout's path may have some.
export PIP_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo explore screenshots gpu-bundle findings selection test quick setup lint bench interruptions docs-check clean

demo: setup
	@$(BIN)/fairseq-ebm run examples/$(EXAMPLE)/$(EXAMPLE).yaml --jobs $(JOBS) \
		--dest runs/$(EXAMPLE)$(if $(SIZE),-$(SIZE)) $(if $(SIZE),--size $(SIZE))

# After make demo. PORT=0 takes any that is free; EXPLORE=--open opens a browser.
PORT ?= 8642
DEMO := runs/demo
explore: setup
	@test -e $(DEMO)/bidirectional/checkpoint_best.pt || { echo "make explore: first make demo" >&2; exit 2; }
	@$(BIN)/fairseq-ebm explore $(DEMO)/data --store $(DEMO)/neg --results $(DEMO) --port $(PORT) $(EXPLORE) \
		--path $(DEMO)/lm/checkpoint_best.pt:$(DEMO)/bidirectional/checkpoint_best.pt

# While make explore runs.
screenshots: setup
	$(BIN)/python examples/explore/screenshots.py http://127.0.0.1:$(PORT)/ docs/images

test: setup
	$(BIN)/python -m pytest tests -n 2 --dist loadfile

FINDINGS := $(BIN)/fairseq-ebm run --jobs $(JOBS) --dest runs/findings
FOUND := examples/findings
findings: setup
	@$(FINDINGS)/docs $(FOUND)/findings.yaml --size docs
	@$(FINDINGS)/packages $(FOUND)/findings.yaml --size packages
	@$(FINDINGS)/second $(FOUND)/matrix.yaml --cpu
	@$(BIN)/python $(FOUND)/findings.py runs/findings docs/findings.md --learned $(FOUND)/learned.md

SELECTED := examples/data_selection
selection: setup
	@for seed in 1 2 3; do \
		$(BIN)/fairseq-ebm run $(SELECTED)/small.yaml --size $$seed --jobs $(JOBS) \
			--dest runs/selection/$$seed || exit; done
	@$(BIN)/python $(SELECTED)/table.py runs/selection docs/selection.md --learned $(SELECTED)/learned.md
	@cp runs/selection/1/log/log.loss-specific_valid.svg docs/images/selection.loss.svg
	@cp runs/selection/1/log/log.shares.svg docs/images/selection.shares.svg

quick: setup
	$(BIN)/python -m pytest tests -n 2 --dist loadfile -m "not slow"

lint: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# Needs transformers, as the peer to compare with; BENCH="--rows stock,draw --runs 1" chooses.
bench: setup
	$(BIN)/python -m pip install --quiet -e '.[hf]'
	$(BIN)/python benchmarks/sampling.py $(BENCH)
	$(BIN)/python benchmarks/hugging_face.py --runs 1
	$(BIN)/python benchmarks/energies.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/joint.py
	$(BIN)/python benchmarks/estimators.py
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/allocation.py
	$(BIN)/python benchmarks/selection.py

gpu-bundle: setup
	$(BIN)/python examples/gpu/bundle.py runs/gpu-bundle

interruptions: setup
	$(BIN)/python benchmarks/interruptions.py

docs-check: setup
	$(BIN)/python -m pytest tests/test_docs.py

setup: $(INSTALLED)

# pip below 24.1, because the omegaconf that fairseq 0.12.2 needs has metadata that newer ones refuse.
$(INSTALLED): setup.py constraints.txt
	@case "$(VERSION)" in 3.9|3.10|3.11|3.12) ;; *) \
		echo "make: $(PYTHON) is Python '$(VERSION)', but 3.9 to 3.12 are supported: make PYTHON=python3.11" >&2; exit 2;; esac
	@test -e $@ || { echo "Making .venv with $(PYTHON) ($(VERSION))"; $(PYTHON) -m venv --clear .venv; }
	$(BIN)/python -m pip install --quiet 'pip<24.1' wheel
	@echo "Installing fairseq and fairseq_ebm into .venv: a few minutes the first time"
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv runs build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
