# The same commands for people and for CI. Needs Python 3.11+ and make, nothing else.

PYTHON ?= python3
VENV ?= .venv
SERVE ?=
UPGRADE ?=
EXTRAS ?= all
WORKERS ?= 2
EXAMPLES ?= 1000
SCHEMAS ?= ../shared/schemas

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKFLOWS := .github/workflows

# scripts in a virtual environment name its place: one that was moved is made again
$(shell [ "$$(cat "$(VENV)/.place" 2>/dev/null)" = "$$(pwd -P)" ] || rm -f "$(VENV)/.locked" "$(INSTALLED)")

.PHONY: help demo test node oracle score check docs bench bench-site lock audit dist sbom clean

help:
	@echo "make demo           run the runbook on three demo environments and build the site"
	@echo "make demo SERVE=1   the same, then serve the site"
	@echo "make test           the tests that need nothing but this checkout (under five minutes)"
	@echo "make node           the TypeScript examples, with Prisma's client; needs Node 20 and npm"
	@echo "make oracle         random schemas against PostgreSQL's own verdict, 1,000 on each server"
	@echo "make check          style, types, workflows and the lock file"
	@echo "make docs           build the site from the run records that are there"
	@echo "make bench          the benchmarks"
	@echo "make score          discovery on schemas whose keys are known (SCHEMAS=DIR for your own)"
	@echo "make bench-site     a large site, and its notebooks the stock way"
	@echo "make lock           write requirements.lock anew (UPGRADE=1 for newer versions)"
	@echo "make audit          look for known vulnerabilities of everything in requirements.lock"
	@echo "make dist           build the wheel and the source distribution into dist/"
	@echo "make sbom           list what the wheel in dist/ installs, as CycloneDX, into sbom/"
	@echo "make clean          remove what these commands made here"

demo: $(INSTALLED)
	"$(BIN)/runbook" demo $(if $(SERVE),--serve)

test: $(INSTALLED)
	"$(BIN)/pytest" -n $(WORKERS) -rs -m "not slow and not browser and not postgres15"

node: $(INSTALLED)
	"$(BIN)/pytest" -rs -m "not postgres15" tests/test_node_examples.py

oracle: $(INSTALLED)
	ORACLE_EXAMPLES="$(EXAMPLES)" "$(BIN)/pytest" -n $(WORKERS) -m oracle -rsP tests/test_oracle.py

check: $(INSTALLED)
	"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .
	"$(BIN)/mypy"
	"$(BIN)/zizmor" --offline --quiet .github
	"$(BIN)/check-jsonschema" --builtin-schema vendor.github-workflows $(WORKFLOWS)/*.yml
	"$(BIN)/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml
	"$(BIN)/pytest" tests/test_project.py

docs: $(INSTALLED)
	"$(BIN)/runbook" site build

bench: $(INSTALLED)
	"$(BIN)/python" -m tests.bench
	"$(BIN)/python" -m tests.bench.references

score: $(INSTALLED)
	"$(BIN)/python" -m tests.score --leave-one-out $(SCHEMAS)

bench-site: $(INSTALLED)
	"$(BIN)/python" -m tests.bench.site

lock:
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --all-extras \
		--group dev --generate-hashes --no-header --no-emit-index-url --fork-strategy fewest \
		$(if $(UPGRADE),--upgrade) --output-file requirements.lock

# without the markers: what only other platforms install is looked at too. Strict: a package that
# cannot be looked up is no clean one
audit: $(INSTALLED)
	@mkdir -p build
	sed 's/ ; [^\\]*/ /' requirements.lock > build/audit.txt
	"$(BIN)/pip-audit" --strict --disable-pip --require-hashes --progress-spinner off \
		--requirement build/audit.txt

dist: $(INSTALLED)
	rm -rf dist
	"$(BIN)/hatchling" build

# in an environment of its own, so that neither pip nor the tools of the tests are listed
sbom: $(INSTALLED)
	@ls dist/fk_runbook-*.whl >/dev/null 2>&1 || { echo "no wheel in dist: make dist" >&2; exit 1; }
	rm -rf build/sbom sbom
	mkdir -p build sbom
	sed -n 's/^\([a-z0-9._-]*==.*[^ ]\) *\\$$/\1/p' requirements.lock > build/locked.txt
	"$(PYTHON)" -m venv --without-pip build/sbom
	"$(BIN)/python" -m pip --python build/sbom/bin/python install --quiet \
		--disable-pip-version-check --constraint build/locked.txt \
		"$$(ls dist/fk_runbook-*.whl)$(if $(EXTRAS),[$(EXTRAS)])"
	sed "s/^dynamic = .*/version = \"$$(ls dist/fk_runbook-*.whl | cut -d - -f 2)\"/" \
		pyproject.toml > build/pyproject.toml
	"$(BIN)/cyclonedx-py" environment --pyproject build/pyproject.toml --mc-type application \
		--output-reproducible --output-file sbom/fk-runbook.cdx.json build/sbom/bin/python

clean:
	rm -rf "$(VENV)" build dist sbom runs site docs/results .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.locked: requirements.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "needs Python 3.11 or newer, got $$("$(PYTHON)" --version 2>&1);" \
			"name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; }
	@echo "installing into $(VENV): once, and again when requirements.lock changes"
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-deps \
		--require-hashes -r requirements.lock
	@printf '%s\n' "$$(pwd -P)" > "$(VENV)/.place"
	@touch "$@"

$(INSTALLED): $(VENV)/.locked pyproject.toml
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --editable .
	@touch "$@"
