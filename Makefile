# make demo     install what is missing, start servers and show kt at work
# make test     the same set-up, then every check there is
# make bench    compare servers and clients (with the originals where KTSERVER, TTSERVER name them)
# make format   format the sources
# make build    set up and compile only
# make clean    remove what building and testing left behind (not .venv)

BIN = .venv/bin
# What is compiled; files made by Cython begin with an underscore and end in .c or .cpp.
SOURCES = $(shell find src -name '*.pyx' -o -name '*.px[di]' -o -name '*.h' -o -name '[a-z]*.cpp')

.PHONY: demo test bench format build clean

demo: build
	$(BIN)/python examples/demo.py

test: build
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python tools/async_to_sync.py --check
	$(BIN)/python tools/make_pipeline_calls.py --check
	KT_IMPL=compiled $(BIN)/pytest -n auto
	KT_IMPL=python $(BIN)/pytest -n auto tests/wire tests/client

bench: build
	$(BIN)/python bench/servers.py
	$(BIN)/python bench/clients.py

format: build
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

build: .venv/built

.venv/installed: pyproject.toml tools/bootstrap
	tools/bootstrap
	touch $@

.venv/built: .venv/installed setup.py $(SOURCES)
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	$(BIN)/python -c 'import kt.wire.kernels._compiled, kt.server.engines.kyoto._engine, kt.server.engines.tokyo._engine'
	touch $@

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .venv/built
	find src tests tools examples -name __pycache__ -prune -exec rm -rf {} +
	find src -name '*.so' -exec rm -f {} +
	rm -f src/kt/wire/kernels/_*.c src/kt/server/engines/*/_*.cpp
