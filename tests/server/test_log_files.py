"""The files of an update log, as servers read them beside those who write them."""

from __future__ import annotations

from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import pytest

from kt import KyotoTycoon, TokyoTyrant
from kt.serializers import KT_NONE
from kt.server.log_files import SAMPLE, TYCOON, TYRANT, Form, LogFiles, count_records
from kt.wire.log import tycoon
from kt.wire.reading import Incomplete

from .processes import HOST, ServerProcess

LOG = ("-ulog", "log", "-sid", "1", "-ulim", "64k")


def written(program: str, directory: Path, sizes: list[int]) -> None:
    """A log with a change of each of these sizes."""
    (directory / "log").mkdir()
    with ServerProcess(program, *LOG, databases=("*",), directory=directory) as process:
        client: Any
        if program == "kt-tycoon":
            client = KyotoTycoon(HOST, process.port, serializer=KT_NONE)
        else:
            client = TokyoTyrant(HOST, process.port, serializer=KT_NONE)
        with client:
            for number, size in enumerate(sizes):
                client.set(f"{number}", bytes(size))
        assert process.stop() == 0


def places(directory: Path, form: Form[Any]) -> list[tuple[int, int, int]]:
    """File, begin and end of each record."""
    found = []
    for path in sorted(directory.glob("*.ulog")):
        data = path.read_bytes()
        pos = tycoon.HEADER_SIZE if form.header else 0
        while not isinstance(reading := form.read(data, pos), Incomplete):
            found.append((int(path.stem), pos, reading[1]))
            pos = reading[1]
    return found


@pytest.mark.parametrize(("program", "form"), [("kt-tycoon", TYCOON), ("kt-tyrant", TYRANT)])
def test_the_next_records_are_counted(program: str, form: Form[Any], tmp_path: Path) -> None:
    sizes = [*range(0, 3000, 10), 2 * SAMPLE, *repeat(1000, 20)]
    written(program, tmp_path, sizes)
    log = tmp_path / "log"
    files = {int(path.stem): str(path) for path in log.glob("*.ulog")}
    records = places(log, form)
    assert len(records) == len(list(LogFiles(str(log), form).records())) == len(sizes)
    assert len(files) > 2
    for at, (number, begin, end) in enumerate(records):
        count, size = count_records(files, (number, begin), form)
        last = records[at + count - 1]
        assert (last[0], last[2]) == (number, begin + size)
        assert size <= SAMPLE or records[at + count - 1][2] - records[at + count - 1][1] > SAMPLE
        assert end <= begin + size
    for (number, _, end), (following, begin, _) in pairwise(records):
        if following != number:  # nothing is left in that file
            assert count_records(files, (number, end), form) == count_records(
                files, (following, begin), form
            )
    number, _, end = records[-1]
    assert count_records(files, (number, end), form) == (0, 0)
    assert count_records(files, (0, 0), form) == count_records(files, records[0][:2], form)
