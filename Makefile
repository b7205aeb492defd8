# The two commands are `make book` and `make test`; everything happens in .venv and _build.
PYTHON ?= python3
PROFILE := $(or $(STYLELIB_PROFILE),auto)
# TORCH=cpu: PyTorch without CUDA's gigabytes. The choice is kept in .venv.
TORCH ?= $(shell cat .venv/torch 2>/dev/null)
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

QUICK := arguments build_book conventions devices features includes losses objectives optimization package pyramid saliency

export STYLELIB_PROFILE := $(PROFILE)
# The environment in .venv decides, whatever else is set up in the shell.
unexport PYTHONPATH
# Compiled modules are kept in .venv: without them each import of PyTorch takes seconds more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: book test quick test-processors test-site serve pdf lab wheel smoke bench bench-scale bench-paper bench-kills fuzz audit clean requirements samples pairs large pictures

book: .venv/installed
	@$(BIN)/python tools/build_book.py

# All but the chapters, which `make book` runs, and test-processors at their smallest.
test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict stylelib
	$(BIN)/mypy tools benchmarks
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2 --dist=worksteal --ignore=tests/test_chapters.py

# The inner loop, in less than a minute: the library's core, without whole transfers and processes.
quick: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy --strict stylelib
	$(BIN)/pytest -q $(patsubst %,tests/test_%.py,$(QUICK))

# The numerical tests, and the chapters at their smallest, on every processor this one can play.
test-processors: .venv/installed
	$(BIN)/python tools/processors.py

# The built site in a real browser: axe, links, weights, what moves. Needs Chromium.
test-site: .venv/installed
	$(BIN)/pytest -q --numprocesses=2 --dist=loadfile tests/site

# The built site at an address of this machine.
serve: .venv/installed
	@$(BIN)/python tools/serve_site.py

# The built site as one PDF. Needs Chromium.
pdf: .venv/installed
	@$(BIN)/python tools/make_pdf.py

# The chapters as notebooks in the folder lab. What you change there stays.
lab: .venv/installed
	@$(BIN)/python book/_ext/notebooks.py lab
	$(BIN)/jupyter lab --notebook-dir=lab

# Wheel and source distribution, in dist.
wheel: .venv/installed
	$(BIN)/uv build --quiet

# The wheel on the oldest and the newest Python that are here, where nothing else is installed.
smoke: .venv/installed
	$(BIN)/python tools/smoke.py $(if $(TORCH),--torch-backend=$(TORCH))

bench: .venv/installed
	$(BIN)/python benchmarks/step.py
	$(BIN)/python benchmarks/race.py
	$(BIN)/python benchmarks/scratch.py

# Memory and time by the size of the image, plain and by tiles; half an hour.
bench-scale: .venv/installed
	$(BIN)/python benchmarks/scale.py

# The method of the paper; the last of the three takes one to three hours.
bench-paper: .venv/installed
	$(BIN)/python benchmarks/paper.py inversion
	$(BIN)/python benchmarks/paper.py texture
	$(BIN)/python benchmarks/paper.py divergence

# Kill a hundred runs at random moments, and compare what they go on to; minutes.
bench-kills: .venv/installed
	$(BIN)/python benchmarks/kills.py $(or $(KILLS),100)

# Damage what the library is given, at random: make fuzz MINUTES=5. It prints each case that breaks
# a rule, and how to run it again.
MINUTES ?= 10
fuzz: .venv/installed
	$(BIN)/python tools/fuzz.py --minutes $(MINUTES)

# Known weaknesses of the pinned packages, as PyPI tells them. Needs the network.
audit: .venv/installed
	$(BIN)/uv tool run pip-audit --strict --disable-pip --no-deps --requirement requirements.txt

clean:
	rm -rf .venv _build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

# Pin anew what everything is built and tested with.
requirements: .venv/installed
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
	    --custom-compile-command "make requirements" --output-file requirements.txt pyproject.toml

# Draw the style pictures of the package again, then measure the activation scales on them.
samples: .venv/installed
	$(BIN)/python tools/draw_samples.py stylelib/samples
	$(BIN)/python tools/measure_scales.py stylelib/vgg19_activations.json

# Paint the pictures that chapter 25 compares; twenty minutes.
pairs: .venv/installed
	$(BIN)/python benchmarks/pairs.py book/images/pairs

# Paint the image of 4,096 x 2,731 pixels that chapter 30 shows; half an hour, 12 GB of memory.
large: .venv/installed
	$(BIN)/python tools/paint_large.py book/images/large

# Paint the pictures that the README and the first two pages show.
pictures: .venv/installed
	$(BIN)/python tools/paint_pictures.py book/images/painted

# requirements.txt constrains versions and installs nothing by itself: it also pins CUDA's packages.
.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "Installing into .venv, once; this downloads packages."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(TORCH),--torch-backend=$(TORCH)) \
	    --constraint requirements.txt --editable ".[book,dev]"
	@echo $(TORCH) > .venv/torch
	@touch $@
