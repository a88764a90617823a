# Everything a person types in this repository; `make` alone explains itself.
# Needed: Python 3.11 or newer, make, git. Go 1.26 or newer only for the tests against a real control plane.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# pip looks nowhere but at the lock: what is installed is the same on every machine, whatever is in the user's own settings.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help

.PHONY: help
help:  ## print this
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED)  ## make .venv from the lock; every other target does this first where it is missing

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: $(PYTHON) is not Python 3.11 or newer; name one that is, as in: make install PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "make: $(PYTHON) cannot make virtual environments; install its venv module (Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "installing what the lock names into $(VENV) (half a minute, the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --require-hashes --requirement requirements/dev.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: $(INSTALLED)  ## see it work: real reviews over TLS, no cluster (seconds)
	@$(BIN)/python tools/demo.py

.PHONY: demo-cluster
demo-cluster: $(INSTALLED)  ## see it work on a real control plane: a workflow's Pods and their nodes (needs Go, once)
	@$(BIN)/python -m tests.cluster.demo

.PHONY: test
test: $(INSTALLED)  ## unit and contract tests, without a control plane (about two minutes)
	@VCI_WEBHOOK_EXAMPLES=15 $(BIN)/python -m pytest --numprocesses 4 --dist worksteal tests/unit tests/contract

.PHONY: check
check: $(INSTALLED)  ## the whole truth: format, lint, types, import contracts and every test; CI runs this
	@$(BIN)/python -m tools.check

.PHONY: fix
fix: $(INSTALLED)  ## format, and repair what the linter can repair by itself
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

.PHONY: soak
soak: $(INSTALLED)  ## the long tests: half an hour at 300 reviews/s, outages of minutes, thousands of namespaces, ten roll-outs and 10 000 creates a rotation under load
	@VCI_WEBHOOK_SOAK=1 $(BIN)/python -m pytest tests/contract/test_soak.py tests/cluster/test_outage.py tests/cluster/test_following.py \
		tests/cluster/test_rollout.py tests/cluster/test_rollout_proxied.py tests/cluster/test_disruption.py tests/cluster/test_rotation.py

.PHONY: fuzz
fuzz: $(INSTALLED)  ## fuzz the review, the profile and the manifests for SECONDS (600)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

.PHONY: bench
bench: $(INSTALLED)  ## how fast, beside others on this machine; writes docs/performance.md (five minutes on an idle machine)
	@$(BIN)/python -m tests.load.following
	@$(BIN)/python -m tests.load.bench

.PHONY: chart-docs
chart-docs: $(INSTALLED)  ## write the table of values in the chart's README anew, from its values.yaml
	@$(BIN)/python -m tools.chart_values

.PHONY: record
record: $(INSTALLED)  ## record the AdmissionReviews of tests/recorded again, from a real control plane
	@$(BIN)/python -m tests.cluster.record

# Needs no .venv: Python, and docker, podman or buildah.
.PHONY: image
image:  ## build the image with docker, podman or buildah; IMAGE=, BASE=, ENGINE=, SOURCE=, WHEELS=, PIP_CONF=, CA=, FLAGS= (docs/image.md)
	@$(PYTHON) -m tools.image --image='$(IMAGE)' --base='$(BASE)' --engine='$(ENGINE)' --source='$(SOURCE)' \
		--wheels='$(WHEELS)' --pip-conf='$(PIP_CONF)' --ca='$(CA)' -- $(FLAGS)

.PHONY: licences
licences: $(INSTALLED)  ## write docs/licences.md anew from the lock
	@$(BIN)/python -m tools.image.licences

.PHONY: audit
audit: $(INSTALLED)  ## look up known vulnerabilities of what the image contains, and of what builds it (needs the network)
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements/runtime.txt
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements/image.txt

# --no-config and --no-emit-index-url: the lock must not tell from where the machine that wrote it downloads.
UV_COMPILE := $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: lock
lock:  ## write requirements/*.txt anew from pyproject.toml, with the newest versions and their hashes
	@test -x $(BIN)/uv || $(MAKE) --no-print-directory install
	@$(UV_COMPILE) pyproject.toml --output-file requirements/runtime.txt
	@$(UV_COMPILE) --group image --constraints requirements/runtime.txt --output-file requirements/image.txt
	@$(UV_COMPILE) pyproject.toml --group dev --constraints requirements/runtime.txt --constraints requirements/image.txt --output-file requirements/dev.txt

.PHONY: clean
clean:  ## remove what was made here: .venv, caches, coverage data
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
