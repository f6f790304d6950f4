from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def last_call(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library of last_call.c."""
    library = tmp_path_factory.mktemp("library") / "last_call.so"
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = Path(__file__).with_name("last_call.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return str(library)
