# Every command a newcomer or CI needs. `make help` lists them; each does its own bootstrap.
.DEFAULT_GOAL := help
.PHONY: help env console demo test fmt lint wheel images chaos bench docs lock clean

PYTHON := .venv/bin/python
# Empty unless given: `make demo ONCE=1 JSON=report.json`, `make test T=tests/unit/cli`, `make bench B=sync`.
ONCE ?=
JSON ?=
DATA_DIR ?=
PORT ?=
T ?=
B ?=
SEED ?=
VERSION ?=

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: ## Make .venv from requirements.lock (instant when nothing changed)
	@sh scripts/bootstrap

console: env ## Build the web console into the package (only when web/ changed)
	@$(PYTHON) scripts/console.py

demo: console ## Start the platform and do the main job once [ONCE=1] [JSON=report.json] [DATA_DIR=dir] [PORT=8080]
	@$(PYTHON) -m remotegpu.cli.main demo $(if $(ONCE),--once) $(if $(JSON),--json "$(JSON)") \
		$(if $(DATA_DIR),--data-dir "$(DATA_DIR)") $(if $(PORT),--port "$(PORT)")

test: env ## Run every check and test, or a part [T=path]
	@$(PYTHON) scripts/test.py $(if $(T),"$(T)")

fmt: env ## Format Python and web sources
	@$(PYTHON) scripts/fmt.py

lint: env ## Format check, lint, types and import contracts only
	@$(PYTHON) scripts/test.py --only format,lint,types,imports

wheel: console ## Build dist/*.whl with the console inside
	@$(PYTHON) scripts/wheel.py

images: env ## Build the container images, as a release or for development [VERSION=v1.2.3]
	@$(PYTHON) scripts/images.py $(if $(VERSION),--version "$(VERSION)")

chaos: console ## Kill everything at random for two minutes and check nothing is lost [SEED=n]
	@REMOTEGPU_CHAOS=long REMOTEGPU_CHAOS_SEED="$(SEED)" $(PYTHON) -m pytest tests/chaos -x -s --timeout=900

bench: console ## Run the benchmarks and print one JSON line per figure [B=name]
	@$(PYTHON) scripts/bench.py $(B)

docs: env ## Write the generated pages under docs/reference/
	@$(PYTHON) scripts/docs.py

lock: env ## Resolve pyproject.toml anew into requirements.lock
	@$(PYTHON) scripts/lock.py

clean: ## Remove what the commands above made (the demo's data directory stays)
	@rm -rf .venv .tools .cache build dist artifacts web/node_modules web/dist src/remotegpu/server/console
