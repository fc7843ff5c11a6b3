# make setup   everything into .venv          make demo    the whole way once, on scenes it makes
# make test    all tests                      make check   linters, types and the fast tests
# make sbom    what .venv holds, with versions and licences, in CycloneDX's form
.PHONY: setup demo test check lint bench sbom clean

PY := .venv/bin/python
PRODUCT ?=
OUT ?= demo$(addprefix /,$(PRODUCT))
SIZE ?=
SCENES ?=
TESTERS ?= 2

setup:
	@docker/setup.sh

# make demo SCENES="a.png b.tif" takes your pictures; PRODUCT=l1c or l2a does it all on Sentinel-2 products
# (in demo/l1c); SIZE=-small is a quick one; OUT= chooses the folder.
demo: setup
	@$(PY) -m jobs.demo --out $(OUT) --config jobs/conf/demo$(SIZE).yaml \
		$(if $(PRODUCT),--product $(PRODUCT)) $(if $(SCENES),--scenes $(SCENES))

# Two processes of tests; TESTERS= says how many. Horovod's ranks fill two cores and some time each other, and so
# do a Slurm cluster's jobs: they run by themselves.
test: setup
	@$(PY) -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder -m "not parallel and not slurm"
	@$(PY) -m pytest -m "parallel or slurm"

lint: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

check: lint
	@$(PY) -m pytest -q -m "not parallel and not slurm and not cluster and not slow"

bench: setup
	@$(PY) -m benchmarks.labelling.kernels

sbom: setup
	@mkdir -p build
	@.venv/bin/cyclonedx-py environment --output-reproducible --output-file build/sbom.cdx.json .venv
	@echo build/sbom.cdx.json

clean:
	rm -rf .venv demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
