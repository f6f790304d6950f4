"""What to do where a server has no storage engine: words that lead to a state that works.

The engines are compiled when kt is installed, and left out silently where that cannot be done. So
the advice is two steps: bring what was missing, then install again from the same source, and
without pip's cache, which holds the wheel without engines that the first installation made. pip
notes where a package came from (PEP 610); a wheel is no such source.
"""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError
from urllib.parse import urlsplit
from urllib.request import url2pathname

NAME = "kyototycoon"

WITHOUT_ENGINE = """\
no storage engine here ({cause}): install {library} and a C++ compiler \
(Debian: apt install {debian} g++ python3-dev; macOS: brew install {brew}), \
then kt again: {command}"""


def without_engine(cause: ImportError, library: str, debian: str, brew: str) -> str:
    """Say how to get the engine that could not be imported.

    Args:
        cause: why not.
        library: name of the library that the engine stands on.
        debian: Debian's package of it.
        brew: Homebrew's.
    """
    return WITHOUT_ENGINE.format(
        cause=cause, library=library, debian=debian, brew=brew, command=install_again()
    )


def install_again() -> str:
    """Return the command that builds and installs kt from where it came from."""
    options = ["--force-reinstall", "--no-deps", "--no-cache-dir"]
    words = shlex.join([sys.executable, "-m", "pip", "install", *options])
    return f"{words} {_source()}"


def _source() -> str:
    """Where this installation came from, as words for pip."""
    try:
        noted = Distribution.from_name(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return "SOURCE, where SOURCE is kt's source directory or archive"
    if noted is None:
        return f"--no-binary {NAME} {NAME}"  # by name, from an index
    origin = json.loads(noted)
    url: str = origin["url"]
    if url.endswith(".whl"):
        return (
            "SOURCE, where SOURCE is kt's source directory or archive "
            f"(this one is from {_place(url)}, which holds no engine)"
        )
    if "vcs_info" in origin:
        return shlex.quote(f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}")
    editable = "--editable " if origin.get("dir_info", {}).get("editable") else ""
    return editable + shlex.quote(_place(url))


def _place(url: str) -> str:
    parts = urlsplit(url)
    return url2pathname(parts.path) if parts.scheme == "file" else url
