"""The compiled parts, each optional: what cannot be built here is left out, and kt says so when
it is needed. ``KT_COMPILED=no`` leaves all of them out. Everything else is in pyproject.toml.

==============================  ==========================================  ======================
module                          what it does                                needs
==============================  ==========================================  ======================
kt.wire.kernels._compiled         faster bytes <-> values                     a C compiler
kt.server.engines.io            the servers' I/O threads                    C++
kt.server.engines.kyoto         kt-tycoon's engine                          C++, libkyotocabinet
kt.server.engines.tokyo         kt-tyrant's engine                          C++, libtokyocabinet
==============================  ==========================================  ======================
"""

import os
import sys
from glob import glob
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ENGINES = "src/kt/server/engines"
CXX_FLAGS = ["-O2", "-std=c++17", "-Wall", "-Wextra", "-Wno-unused-parameter"]
MAIN_MODULES = ("_io.pyx", "_engine.pyx")
LIBRARIES = {"io": [], "kyoto": ["kyotocabinet"], "tokyo": ["tokyocabinet"]}

# Homebrew's directories, where Apple's compiler does not look by itself.
PREFIXES = [
    p for p in ("/opt/homebrew", "/usr/local") if sys.platform == "darwin" and Path(p).is_dir()
]


def module_of(source: str) -> str:
    return ".".join(Path(source).with_suffix("").parts[1:])


def codec(source: str) -> Extension:
    return Extension(module_of(source), [source], extra_compile_args=["-O2"])


def engine(source: str) -> Extension:
    """One Cython module of a server engine; the main one carries the C++ sources of its library."""
    directory = Path(source).parent
    main = source.endswith(MAIN_MODULES)
    cxx = sorted(glob(f"{directory}/[!_]*.cpp") + glob(f"{directory}/*/*.cpp")) if main else []
    return Extension(
        module_of(source),
        [source, *cxx],
        depends=sorted(glob(f"{ENGINES}/**/*.h", recursive=True)),
        include_dirs=[ENGINES, *(f"{prefix}/include" for prefix in PREFIXES)],
        library_dirs=[f"{prefix}/lib" for prefix in PREFIXES],
        libraries=LIBRARIES[directory.name],
        language="c++",
        extra_compile_args=CXX_FLAGS,
    )


def extensions() -> list[Extension]:
    if os.environ.get("KT_COMPILED") == "no":
        return []
    found = [codec(source) for source in sorted(glob("src/kt/wire/kernels/*.pyx"))]
    found += [engine(source) for source in sorted(glob(f"{ENGINES}/*/*.pyx"))]
    compiled = cythonize(found, quiet=True, compiler_directives={"language_level": "3"})
    for extension in compiled:
        extension.optional = True  # cythonize would forget it
    return compiled


setup(ext_modules=extensions())
