"""Programs of others that tests start: Redis, etcd, PostgreSQL.

They are on PATH, or where Debian keeps them, or where ``make test`` has unpacked them
(`tools/test_servers`).
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import cache
from pathlib import Path

UNPACKED = Path(sys.prefix) / "servers"

PLACES = ("usr/bin", "usr/sbin", "usr/lib/postgresql/*/bin")
"""Where packages have programs, below the root of the system or of what was unpacked."""


@cache
def find_program(name: str) -> str | None:
    """Its path; None if it is not here."""
    found = shutil.which(name)
    if found is not None:
        return found
    for root in (Path("/"), UNPACKED):
        for place in PLACES:
            for path in sorted(root.glob(f"{place}/{name}"), reverse=True):
                return str(path)
    return None


def environment(program: str) -> dict[str, str]:
    """In which a program that `find_program` has found finds its libraries."""
    if not program.startswith(str(UNPACKED)):
        return dict(os.environ)
    libraries = {str(path.parent) for path in UNPACKED.glob("usr/lib/**/lib*.so*")}
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(libraries))}
