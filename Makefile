# Needs Python 3.10 to 3.13 with pip, and make; another Python than python3: make test PYTHON=python3.12
PYTHON ?= python3

VENV      := .venv
BIN       := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO      := demo
MEASURED  := onnx-int8 tflite-int8 onnx-float32
BOTH      := --format onnx --format tflite --precision float32 --precision int8
EVERYTHING := --format all --precision all
# A teacher and a default have to answer alike on every processor.
EXACT      := --target x86-avx2
EDGE      := $(BIN)/digits-edge
,         := ,
WIDE      := --widths 32$(,)64$(,)128$(,)128 --epochs 40
# Three seeds of each; the wide pupils learn from the first six, the small network from all.
of_three   = $(foreach net,$(1),$(foreach seed,0 1 2,models/$(net)/$(net)-$(seed)-onnx-int8))
ELDERS    := $(call of_three,cnn-strong edge-wide)
TEACHERS  := $(ELDERS) $(call of_three,edge-wide-distill m7)
DEFAULT   := runtime/digits_edge/runtime/models/default

# pip reads these two; the second holds for what builds the packages.
export PIP_CONSTRAINT = constraints.txt
export PIP_BUILD_CONSTRAINT = $(PIP_CONSTRAINT)
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo models widths evaluations results test test-all check format constraints clean clean-demo

help: ## List what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO)/run/metrics.json ## Train, export, prove, measure and classify: the whole path on real digits, in demo/
	rm -rf $(DEMO)/bundles $(DEMO)/samples $(DEMO)/submission.csv
	$(EDGE) export $(DEMO)/run --format all --precision all --out $(DEMO)/bundles
	$(EDGE) bench $(DEMO)/bundles/*-onnx-*/ $(DEMO)/bundles/*-tflite-*/ --run $(DEMO)/run --quick --save $(DEMO)/bench.json --plot $(DEMO)/bench.png
	$(EDGE) samples $(DEMO)/samples
	$(EDGE) predict $(DEMO)/samples/test.csv --bundle $(DEMO)/bundles/edge-onnx-int8 --submission $(DEMO)/submission.csv
	$(EDGE) predict $(DEMO)/samples/pictures --bundle $(DEMO)/bundles/edge-onnx-int8
	@printf '%s\n' '' 'All of it lies here:' \
	  '  $(DEMO)/run             the trained model, its history, metrics and pictures' \
	  '  $(DEMO)/bundles         proved ONNX and TFLite bundles, each with parity.html and MODEL_CARD.md,' \
	  '                       and C sources if tflite-micro is installed' \
	  '  $(DEMO)/bench.json      the measurements, and their plot in bench.png' \
	  '  $(DEMO)/samples         a test.csv in Kaggle'"'"'s format, and a few pictures' \
	  '  $(DEMO)/submission.csv  the answers to that test.csv' \
	  'make demo once more keeps the trained run; make clean-demo starts over.'

# A finished run is kept; one that was interrupted goes on from its last epoch.
$(DEMO)/run/metrics.json: | $(INSTALLED)
	$(call train,$(DEMO)/run,--arch edge --recipe strong --epochs 10)

models: $(INSTALLED) ## Train what is missing in models/, and export and prove it anew (long; goes on where it was stopped)
	$(call train,models/cnn-notebook,--arch cnn --recipe notebook --limit 42000)
	$(call series,models/cnn-strong,--arch cnn --recipe strong)
	$(call series,models/edge-wide,--arch edge --recipe strong $(WIDE))
	$(call series,models/m7,--arch m7 --recipe strong)
	$(call teach,cnn-strong edge-wide m7)
	$(call series,models/edge-wide-distill,--arch edge --recipe distill $(WIDE) $(ELDERS:%=--teacher %))
	$(call teach,edge-wide-distill)
	$(EDGE) export models/cnn-notebook --name cnn-notebook $(BOTH) --out models
	$(EDGE) export models/cnn-strong/seed-0 --name cnn-strong $(BOTH) --out models
	$(call series,models/edge-distill,--arch edge --recipe distill $(TEACHERS:%=--teacher %))
	$(EDGE) export models/edge-distill/seed-0 $(EVERYTHING) $(EXACT) --out models
	for seed in 1 2; do $(EDGE) export models/edge-distill/seed-$$seed --name edge-seed-$$seed $(BOTH) $(EXACT) \
	  --out models/edge-distill || exit; done
	rm -rf $(DEFAULT) && cp -r models/edge-onnx-int8 $(DEFAULT)

# $(1) series: a bundle of each of its runs.
teach = for net in $(1); do for seed in 0 1 2; do $(EDGE) export models/$$net/seed-$$seed $(EXACT) \
	--name $$net-$$seed --out models/$$net || exit; done; done

# $(1) directory, $(2) options: three runs, of which finished ones are kept.
series = if [ -f $(1)/series.json ]; then $(EDGE) train --resume $(1); \
	else $(EDGE) train $(2) --seeds 0,1,2 --out $(1); fi

# $(1) run directory, $(2) options: nothing to do if it is finished, resumed if it was interrupted.
train = if [ -f $(1)/state.json ]; then $(EDGE) train --resume $(1); \
	elif [ ! -f $(1)/metrics.json ]; then rm -rf $(1) && $(EDGE) train $(2) --out $(1); fi

# Multiply-adds from 0.5 to 3.5 million, around the published network's.
WIDTHS := 8,16,32,32 12,24,40,40 12,28,44,40 16,30,48,40 24,48,64,64

widths: $(INSTALLED) ## Train the small network in other widths, for accuracy against cost (an hour)
	for widths in $(WIDTHS); do name=models/edge-widths/$$(echo $$widths | tr , -); \
	  $(call train,$$name,--arch edge --recipe distill --seed 0 --widths $$widths $(TEACHERS:%=--teacher %)) \
	  && $(EDGE) export $$name --name $$(basename $$name) --out models/edge-widths || exit; done

evaluations: $(INSTALLED) ## Evaluate every bundle of models/: calibration, rejection, robustness
	mkdir -p models/evaluations
	for bundle in $(notdir $(patsubst %/manifest.json,%,$(wildcard models/*/manifest.json))); do \
	  $(EDGE) evaluate models/$$bundle --out evaluation/$$bundle && \
	  cp evaluation/$$bundle/evaluation.json models/evaluations/$$bundle.json || exit; done
	$(EDGE) evaluate $(TEACHERS) --out evaluation/teachers && cp evaluation/teachers/evaluation.json models/evaluations/teachers.json
	for picture in risk-coverage corruptions non-digits; do \
	  cp evaluation/edge-onnx-int8/$$picture.png docs/edge-$$picture.png || exit; done

results: evaluations ## Measure models/ here and write docs/results.md; minutes with EFFORT=--quick (nothing else may run)
	$(EDGE) bench $(MEASURED:%=models/cnn-strong-%) --run models/cnn-strong/seed-0 --save models/bench-cnn.json --plot docs/bench-cnn.png $(EFFORT)
	$(EDGE) bench $(MEASURED:%=models/edge-%) --run models/edge-distill/seed-0 --save models/bench-edge.json --plot docs/bench-edge.png $(EFFORT)
	$(BIN)/python -m pytest benchmarks/suites/test_training.py -q --benchmark-json models/bench-training.json
	$(BIN)/python -m pytest benchmarks/suites/test_export.py -q --benchmark-json models/bench-export.json
	$(EDGE) results models/bench-cnn.json models/bench-edge.json --training models/bench-training.json \
	  --exports models/bench-export.json --readme README.md

test: $(INSTALLED) ## Run the quick tests
	$(BIN)/python -m pytest -m "not slow" -n 2 -p no:benchmark

test-all: $(INSTALLED) ## Run all tests
	$(BIN)/python -m pytest -n 2 -p no:benchmark

check: $(INSTALLED) ## Lint, check the format and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED) ## Format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

constraints: ## Resolve constraints.txt afresh (needs Python 3.10, 3.11, 3.12 and 3.13)
	env -u PIP_CONSTRAINT -u PIP_BUILD_CONSTRAINT $(PYTHON) .ci/constraints.py

clean: clean-demo ## Remove all that was made, the environment too
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

clean-demo: ## Remove what the demo made
	rm -rf $(DEMO)

# Made anew when what it is made of has changed; an install that broke off leaves no stamp.
$(INSTALLED): pyproject.toml runtime/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit( \
	  "$(PYTHON) is Python %d.%d; expected 3.10 to 3.13: name another with PYTHON=python3.12" % v)'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install -e ./runtime -e ".[dev]"
	touch $@
