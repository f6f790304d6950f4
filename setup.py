"""The compiled parts. Where kt is installed each is optional: what cannot be built there is left
out, and kt says so when it is needed. ``KT_COMPILED=no`` leaves all of them out. In a checkout
(``--inplace``) a failure is one: an older module would stay in its place. Everything else is in
pyproject.toml.
"""

import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = "src/kt/wire/kernels"
ENGINES = "src/kt/server/engines"
CXX_FLAGS = ["-O2", "-std=c++17", "-Wall", "-Wextra", "-Wno-unused-parameter"]
# Calls within a module are direct ones, and may be inlined; else nearly all go through a table.
DIRECT_CALLS = ["-fvisibility-inlines-hidden", "-fno-semantic-interposition", "-fno-plt"]
MAIN_MODULES = ("_io.pyx", "_engine.pyx", "_log.pyx", "_relay.pyx")
LIBRARIES = {
    "io": [],
    "log": [],
    "relay": [],
    "kyoto": ["kyotocabinet"],
    "tokyo": ["tokyocabinet"],
}
DECLARED = {"freethreading_compatible": False, "subinterpreters_compatible": "no"}
STRIP = ["-Wl,-S,-x"] if sys.platform == "darwin" else ["-Wl,--strip-all"]

# Homebrew's directories, where Apple's compiler does not look by itself.
PREFIXES = [
    p for p in ("/opt/homebrew", "/usr/local") if sys.platform == "darwin" and Path(p).is_dir()
]


def module_of(source: str) -> str:
    return ".".join(Path(source).with_suffix("").parts[1:])


def kernels(source: str) -> Extension:
    return Extension(module_of(source), [source], extra_compile_args=["-O2"], optional=True)


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
        extra_compile_args=CXX_FLAGS + DIRECT_CALLS,
        optional=True,
    )


def extensions() -> list[Extension]:
    if os.environ.get("KT_COMPILED") == "no":
        return []
    found = [kernels(source) for source in sorted(glob(f"{KERNELS}/*.pyx"))]
    return found + [engine(source) for source in sorted(glob(f"{ENGINES}/*/*.pyx"))]


class Build(build_ext):
    """Cython when something is built, and not when only metadata is asked for; files in parallel.

    setuptools has modules built side by side, and the files of one module after each other; one of
    ours holds most of the files. So all modules begin at once and share a pool of `jobs` threads,
    each of which waits for one compiler.
    """

    def run(self) -> None:
        from Cython.Build import cythonize

        self.jobs = self.parallel if type(self.parallel) is int else os.cpu_count() or 1
        directives = {"language_level": "3", **DECLARED}
        made = cythonize(
            self.extensions, nthreads=self.jobs, quiet=True, compiler_directives=directives
        )
        for extension, with_c in zip(self.extensions, made, strict=True):
            extension.sources, extension.depends = with_c.sources, with_c.depends
            extension.optional = not self.inplace
        self.in_checkout = bool(self.inplace)  # setuptools forgets it while it builds
        super().run()

    def build_extensions(self) -> None:
        if not (self.in_checkout or self.debug):
            for extension in self.extensions:
                extension.extra_compile_args = [*extension.extra_compile_args, "-g0"]
                extension.extra_link_args = STRIP
        compile_in_turn = self.compiler.compile
        with ThreadPoolExecutor(self.jobs) as pool:

            def compile_together(sources: list[str], **options: object) -> list[str]:
                made = pool.map(lambda source: compile_in_turn([source], **options), sources)
                return [name for names in made for name in names]

            self.compiler.compile = compile_together
            self.parallel = len(self.extensions)
            super().build_extensions()


def description(home: str | None) -> str:
    """README.md with links that work elsewhere; without a home, with no relative link at all."""
    text = Path("README.md").read_text(encoding="utf-8")
    relative = re.compile(r"(!?)\[([^]]*)\]\((?!https?:)([^)]+)\)")
    if home is not None:
        return relative.sub(lambda m: f"{m[1]}[{m[2]}]({home.rstrip('/')}/{m[3]})", text)
    return relative.sub(lambda m: f"*{m[2]}: `{m[3]}` in the source*" if m[1] else m[2], text)


def urls(home: str | None) -> dict[str, str]:
    pages = {"Source": "", "Documentation": "docs/client.md", "Changelog": "CHANGELOG.md"}
    return {name: f"{home.rstrip('/')}/{page}" for name, page in pages.items()} if home else {}


if __name__ == "__main__":  # not where Cython's processes begin, which import this file on macOS
    HOME = os.environ.get("KT_HOME")
    setup(
        ext_modules=extensions(),
        cmdclass={"build_ext": Build},
        long_description=description(HOME),
        long_description_content_type="text/markdown",
        project_urls=urls(HOME),
    )
