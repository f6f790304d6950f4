"""The servers' log."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from kt.server.process.log import BUFFERED_LINES, Level, Log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


def texts(path: Path) -> list[str]:
    """Level and message of every line."""
    return [re.sub(r"^\S+: ", "", line) for line in path.read_text().splitlines()]


def test_lines_below_the_level_are_dropped(path: Path) -> None:
    log = Log(str(path), Level.SYSTEM)
    for write in (log.debug, log.info, log.system, log.error):
        write("message")
    log.close()
    assert not log.info_wanted
    assert texts(path) == ["[SYSTEM]: message", "[ERROR]: message"]


def test_information_is_written_with_the_next_flush_and_in_order(path: Path) -> None:
    log = Log(str(path), Level.DEBUG)
    log.info("1")
    log.debug("2")
    assert path.read_text() == ""
    log.flush()
    log.info("3")
    log.error("4")
    assert texts(path) == ["[INFO]: 1", "[DEBUG]: 2", "[INFO]: 3", "[ERROR]: 4"]
    log.close()


def test_many_lines_are_not_kept(path: Path) -> None:
    log = Log(str(path), Level.DEBUG)
    for _ in range(BUFFERED_LINES):
        log.info("line")
    assert len(texts(path)) == BUFFERED_LINES
    log.close()


def test_times_are_local_with_their_offset(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(str(path), Level.DEBUG)
    monkeypatch.setenv("TZ", "EAST-05:30")
    time.tzset()
    try:
        log.system("message")
        local = time.strftime("%Y-%m-%dT%H:")
    finally:
        monkeypatch.undo()
        time.tzset()
    log.close()
    assert re.fullmatch(rf"{local}\d\d:\d\d\.\d{{6}}\+05:30: .*\n", path.read_text())


def test_it_goes_on_in_a_new_file(path: Path) -> None:
    log = Log(str(path), Level.DEBUG)
    log.info("old")
    path.rename(path.with_name("old"))
    log.reopen()
    log.system("new")
    log.close()
    assert texts(path.with_name("old")) == ["[INFO]: old"]
    assert texts(path) == ["[SYSTEM]: new"]


def test_it_goes_on_in_the_old_file_if_there_cannot_be_a_new_one(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    log = Log(str(directory / "log"), Level.DEBUG)
    directory.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        log.reopen()
    log.system("still here")
    log.close()
    assert texts(tmp_path / "moved" / "log") == ["[SYSTEM]: still here"]


def test_text_that_cannot_be_encoded_is_escaped(path: Path) -> None:
    log = Log(str(path), Level.DEBUG)
    log.system("\udcff")
    log.close()
    assert texts(path) == [r"[SYSTEM]: \udcff"]


def test_a_full_disk_does_not_stop_the_server() -> None:
    log = Log("/dev/full", Level.DEBUG)
    log.error("lost")
    log.close()


def test_threads_may_log_at_once(path: Path) -> None:
    log = Log(str(path), Level.DEBUG)

    def work(name: int) -> None:
        for number in range(1000):
            (log.info if number % 10 else log.system)(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    messages = [text.partition(": ")[2] for text in texts(path)]
    for name in range(4):
        numbers = [int(text.split()[1]) for text in messages if text.startswith(f"{name} ")]
        assert numbers == list(range(1000))
