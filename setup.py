"""The compiled parts, each optional: what cannot be built here is left out, and kt says so when
it is needed. Everything else is in pyproject.toml.

==============================  ==========================================  ======================
module                          what it does                                needs
==============================  ==========================================  ======================
kt.wire._codec                  faster bytes <-> values                     a C compiler
kt.server.engines._kyoto        kt-tycoon's engine                          C++, libkyotocabinet
kt.server.engines._tokyo        kt-tyrant's engine                          C++, libtokyocabinet
==============================  ==========================================  ======================
"""

import glob
import os

from Cython.Build import cythonize
from setuptools import Extension, setup

ENGINES = "src/kt/server/engines"
CXX_FLAGS = ["-O2", "-std=c++17", "-Wall", "-Wextra", "-Wno-unused-parameter"]


def engine(name: str, library: str) -> Extension:
    """One server engine: a Cython module over our C++ sources of the same name."""
    return Extension(
        f"kt.server.engines._{name}",
        [f"{ENGINES}/_{name}.pyx", *sorted(glob.glob(f"{ENGINES}/{name}_*.cpp"))],
        depends=sorted(glob.glob(f"{ENGINES}/*.h")),
        include_dirs=[ENGINES],
        libraries=[library],
        language="c++",
        extra_compile_args=CXX_FLAGS,
        optional=True,
    )


EXTENSIONS = [
    Extension(
        "kt.wire._codec",
        ["src/kt/wire/_codec.pyx"],
        extra_compile_args=["-O2"],
        optional=True,
    ),
    engine("kyoto", "kyotocabinet"),
    engine("tokyo", "tokyocabinet"),
]

setup(
    ext_modules=cythonize(
        [extension for extension in EXTENSIONS if os.path.exists(extension.sources[0])],
        compiler_directives={"language_level": "3"},
    ),
)
