"""Recorded traffic of Kyoto Tycoon, replayed against a gateway to a cluster, in both layouts.

Hash databases are laid out flat, trees as trees. Scenarios that are about options, scripts or
files are left out, and so are calls of ``report`` and ``status``, whose fields are the gateway's
own. `DIFFERS` says what is answered otherwise; docs/conformance.md explains it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.nodes import LocalCluster
from tests.server import replay as replay_module
from tests.server.replay import Json, Replay, scenarios

from .conftest import Gateway

TREES = ("%", "+", "casket.kct", "casket.kcf")
UNUSED = 4
"""The first numbered database that other tests do not use."""
OWN_FIELDS = ("/rpc/report", "/rpc/status")

CUT_OFF = "a bulk that is cut off stores nothing, instead of what came before the cut"
ATOMIC = "bulks that are atomic as a whole are refused"
REGEX = "regular expressions are Python's"
FLAT_CURSOR = "in a flat database, a cursor jumps to no key"
PAST_THE_END = "a cursor that has left the records comes back by a jump only"
EXPIRED = "a cursor does not jump to a record that has expired"
NAMES = "databases have numbers, no names"
HARD = "to bring all to the device needs nodes with an append-only file"
MADE_BY_USE = "a cursor is made by a call that uses it"
NOT_HERE = "there are no scripts, signals and update logs; the error says so"
DOUBLES = "what is beyond the range of a double is not stored"

DIFFERS = {
    "kt/binary/truncated": CUT_OFF,
    "kt/binary/truncated_noreply": CUT_OFF,
    "kt/http/bulk/": ATOMIC,
    "kt/http/match/": REGEX,
    "kt/http/cursor/cache": FLAT_CURSOR,
    "kt/http/cursor/stash": FLAT_CURSOR,
    "kt/http/cursor/kch": FLAT_CURSOR,
    "kt/http/cursor_back/cache": FLAT_CURSOR,
    "kt/http/cursor_back/stash": FLAT_CURSOR,
    "kt/http/cursor_back/kch": FLAT_CURSOR,
    "kt/http/cursor_back/": PAST_THE_END,
    "kt/http/expire/cache": FLAT_CURSOR,
    "kt/http/expire/kch": FLAT_CURSOR,
    "kt/http/expire/": EXPIRED,
    "kt/http/cursor_sessions": MADE_BY_USE,
    "kt/http/status_clear_sync/": HARD,
    "kt/http/errors": NOT_HERE,
    "kt/http/wait_signal": NOT_HERE,
    "kt/script/none": NOT_HERE,
    "kt/rest/paths": NAMES,
    "kt/quirk/float_limits": DOUBLES,
}


def layouts(scenario: Json) -> tuple[str, ...]:
    return tuple("tree" if name in TREES else "flat" for name in scenario["databases"])


def fits(scenario: Json) -> bool:
    """Whether it is about requests only."""
    about = scenario["args"] or scenario["script"] is not None or scenario.get("dirs")
    about = about or any("restart" in step for step in scenario["steps"])
    return not about and not any("#" in name for name in scenario["databases"])


def replayed() -> Iterator[Json]:
    for scenario in filter(fits, scenarios("kyoto_tycoon.jsonl")):
        steps = scenario["steps"]
        yield {
            **scenario,
            "steps": [s for s in steps if s.get("http", {}).get("target") not in OWN_FIELDS],
        }


class Running:
    """A gateway that runs on, as `Replay` takes a server."""

    def __init__(self, gateway: Gateway) -> None:
        self.port = gateway.port
        self.process: subprocess.Popen[str] = gateway.process

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def gateway_with(cluster: LocalCluster) -> Iterator[Callable[[tuple[str, ...]], Gateway]]:
    """Makes gateways to empty databases of such layouts, each once."""
    if not cluster.numbered:
        pytest.skip("this engine has no second database: Valkey has, from 9 on")
    started: dict[tuple[str, ...], Gateway] = {}
    with ExitStack() as stack:

        def make(wanted: tuple[str, ...]) -> Gateway:
            if wanted not in started:
                urls = [
                    cluster.url(UNUSED + 2 * place + 1, layout="tree", buckets=4)
                    if layout == "tree"
                    else cluster.url(UNUSED + 2 * place, layout="flat")
                    for place, layout in enumerate(wanted)
                ]
                started[wanted] = stack.enter_context(Gateway(urls))
            with started[wanted].connect(timeout=30) as client:
                for db in range(len(wanted)):
                    client.clear(db)
            return started[wanted]

        yield make


@pytest.mark.parametrize("delegated", [False, True], ids=["loop", "thread"])
@pytest.mark.parametrize("scenario", list(replayed()), ids=lambda scenario: scenario["name"])
def test_recorded(
    scenario: Json,
    delegated: bool,
    gateway_with: Callable[[tuple[str, ...]], Gateway],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = gateway_with(layouts(scenario))
    replay = Replay(scenario, "kt-tycoon", tmp_path, delegated=delegated)
    check(replay, gateway, DIFFERS, monkeypatch)


def check(
    replay: Replay, gateway: Gateway, differs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """See to it that the gateway answers as was recorded, and otherwise just where it is said."""
    name = replay.scenario["name"]
    replay.server = Running(gateway)  # type: ignore[assignment]
    reason = next((why for begin, why in differs.items() if name.startswith(begin)), "")
    if not reason:
        replay.run()
        return
    monkeypatch.setattr(replay_module, "SECONDS", 2.0)  # some replies are too short
    try:
        replay.run()
    except (AssertionError, TimeoutError):
        assert gateway.process.poll() is None
    else:
        pytest.fail(f"it does not differ any more: {reason}")
