"""The directory of an update log, where the disk does not take what there is to write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kt.server.engines.log._log import UpdateLog

WITH_LIMIT = """
import resource, sys
from kt.server.engines.log._log import UpdateLog

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
try:
    UpdateLog(sys.argv[1], kind="tyrant", server=1)
except OSError as error:
    print(error)
"""
RECORD = b"\xc8\x10" + bytes(600)
"""The begin of a command and a part of its text: half a record, when the end is cut off."""


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """A log file that ends within a record."""
    log = UpdateLog(str(tmp_path), kind="tyrant", server=1)
    for _ in range(2):
        log.append(1, 1, RECORD)
    assert log.flush()
    (path,) = map(Path, log.files().values())
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    return path


def test_nothing_is_cut_off_that_cannot_be_kept(torn: Path) -> None:
    before = torn.read_bytes()
    beside = torn.with_name(torn.name + ".cut")
    command = [sys.executable, "-c", WITH_LIMIT, str(torn.parent), "300"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert str(beside) in said
    assert "File too large" in said
    assert torn.read_bytes() == before
    assert beside.read_bytes() == b""
    log = UpdateLog(str(torn.parent), kind="tyrant", server=1)
    assert str(beside) in log.findings
    assert torn.read_bytes() + beside.read_bytes() == before
