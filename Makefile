# Two commands on a fresh machine with Python 3.11 or newer, pip and make:
#   make demo    a whole network on this machine, in under a minute
#   make test    everything that is promised, tried

# Containers set it; but then every node, and every one of the tests' processes, compiles all that it loads anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test litmus fuzz torture bench lint fmt docs lock clean

demo: $(READY)
	@$(BIN)/commonhold demo

# Those that need the machine to themselves, then all others four at a time, since most wait for nodes. Left to
# itself the plugin begins with the files of many tests, and ends with one processor at those of few and long ones.
test: $(READY) programs
	$(BIN)/pytest -m alone
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not alone"

# What is parsed before anybody is known, with a hundred times the rubbish: about an hour.
fuzz: $(READY)
	$(BIN)/pytest --hypothesis-profile fuzz --timeout 0 tests/attacks/test_fuzz.py tests/properties

# The WebDAV world's own suite of tests, against a server and against a peer; a failure shows litmus's trace.
litmus: $(READY) programs
	$(BIN)/pytest tests/clients/test_litmus.py

# A node under load is killed, a thousand times: about 20 minutes. SEED=N repeats what was asked.
KILLS ?= 1000
torture: $(READY)
	KILLS=$(KILLS) $(BIN)/pytest -s --timeout 0 tests/proof/test_torture.py

bench: $(READY) programs peers
	$(BIN)/python bench/run.py

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(READY)
	$(BIN)/python -m commonhold.cli.reference > docs/cli.md

# The exact versions, with their digests. pip itself comes from outside the environment, since a
# system's Python may lack ensurepip.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Commonhold needs Python 3.11 or newer: make PYTHON=python3.12 demo" >&2; exit 1; }
	$(PYTHON) -m venv --without-pip --clear .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r requirements.lock
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q src  # as pip does elsewhere: in a sandbox nothing could be written
	@touch $@

# Programs of the system that the tests use where they may be installed. Without bubblewrap the tests
# of the sandbox try the weaker one instead; without Chromium no real web page attacks the gateway; without
# litmus, cadaver, rclone and davfs2 only our own client and our own requests ask the files' door.
.PHONY: programs
programs:
	@for each in bwrap:bubblewrap strace:strace chromium:chromium litmus:litmus cadaver:cadaver \
	  rclone:rclone mount.davfs:davfs2; do \
	  command -v "$${each%:*}" >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { [ -n "$$updated" ] || { apt-get -qq update && updated=yes; }; } && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$${each#*:}" >/dev/null; } || \
	  echo "$${each#*:} is not here and cannot be installed by this user: its tests will say so"; \
	done

# What Commonhold is measured beside. Samba would begin to serve the whole machine where a service manager
# runs, so that there nobody but its owner installs it.
.PHONY: peers
peers:
	@for each in rclone:rclone wrk:wrk curl:curl parallel:parallel djpeg:libjpeg-turbo-progs \
	  $$([ -d /run/systemd/system ] || echo smbclient:smbclient smbd:samba); do \
	  command -v "$${each%:*}" >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { [ -n "$$updated" ] || { apt-get -qq update && updated=yes; }; } && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "$${each#*:}" >/dev/null; } || \
	  echo "$${each#*:} is not here and cannot be installed by this user: it is not compared with"; \
	done

lock:
	uv pip compile pyproject.toml --group dev --extra plan --universal --generate-hashes --python-version 3.11 \
	  --no-header --no-emit-index-url --upgrade -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
