# make demo      install what is missing, start servers and show kt at work
# make test      the same set-up, then every check there is
# make test-all  the same with every Python that this machine has
# make test-crash  kill writers and servers 200 times, and look at what their files hold
# make test-cluster  lose masters, and move slots, of three masters with two replicas each, 10 times
# make wheel     dist/: the source archive, and a wheel that needs no compiler and no library
# make bench     compare servers and clients (with the originals where KTSERVER, TTSERVER name them)
# make format    format the sources
# make docs      build/docs: these pages and the reference of all public names, as a site
# make build     set up and compile only
# make clean     remove what building and testing left behind (not .venv)
#
# With PYTHON=python3.13 or a path, all of them use that Python, with a .venv-3.13 of its own.

PYTHON ?=
TAG = import sys, sysconfig; \
	print("%d.%d" % sys.version_info[:2] + "t" * bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
VENV := .venv$(if $(PYTHON),-$(or $(shell $(PYTHON) -c '$(TAG)'),$(error no Python: $(PYTHON))))
BIN = $(VENV)/bin
# What is compiled; files made by Cython begin with an underscore and end in .c or .cpp.
SOURCES = $(shell find src -name '*.pyx' -o -name '*.px[di]' -o -name '*.h' -o -name '[a-z]*.cpp')

.PHONY: demo test test-all test-crash test-cluster wheel bench docs format build clean

demo: build
	$(BIN)/python examples/demo.py

test: build $(VENV)/test-servers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python tools/async_to_sync.py --check
	$(BIN)/python tools/make_pipeline_calls.py --check
	KT_IMPL=compiled $(BIN)/pytest -n auto
	KT_IMPL=python $(BIN)/pytest -n auto tests/wire tests/client

test-all:
	set -e; for python in $$(tools/bootstrap --pythons); do \
		echo "== $$python"; $(MAKE) test PYTHON=$$python; done

test-crash: build
	KT_CRASH_KILLS=200 $(BIN)/pytest -n auto tests/crash

test-cluster: build $(VENV)/test-servers
	KT_CLUSTER_ROUNDS=10 KT_CLUSTER_REPLICAS=2 $(BIN)/pytest -n auto tests/cluster tests/gateway

wheel: build
	$(BIN)/python tools/make_wheel.py

bench: build
	$(BIN)/python bench/servers.py
	$(BIN)/python bench/clients.py
	$(BIN)/python bench/startup.py

docs: build
	$(BIN)/sphinx-build -q -W --keep-going -j auto -d build/doctrees docs build/docs
	@echo build/docs/index.html

format: build
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

build: $(VENV)/built

$(VENV)/installed: pyproject.toml tools/bootstrap
	PYTHON=$(PYTHON) VENV=$(VENV) tools/bootstrap
	touch $@

$(VENV)/built: $(VENV)/installed setup.py $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace
	$(BIN)/python -c 'import kt.wire.kernels._compiled, kt.server.engines.kyoto._engine, kt.server.engines.tokyo._engine'
	touch $@

# Servers of others, which tests start.
$(VENV)/test-servers: $(VENV)/installed tools/test_servers
	tools/test_servers $(VENV)/servers
	touch $@

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .venv*/built
	find src tests tools examples -name __pycache__ -prune -exec rm -rf {} +
	find src -name '*.so' -exec rm -f {} +
	rm -f src/kt/wire/kernels/_*.c src/kt/server/engines/*/_*.cpp
