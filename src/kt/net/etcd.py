"""etcd, a small database that several machines agree on: keys, leases, conditional changes.

::

    POST /v3/kv/range         keys that begin so, all as of one revision
    POST /v3/kv/txn           if nobody has touched these keys meanwhile: put others
    POST /v3/lease/...        grant, keepalive, revoke: keys of a lease are gone when it is over

It is spoken with by its JSON gateway, version 3.4 or later, a connection for each call. Keys and
values are base64 there, and numbers text. A call goes to one of several servers, the one that has
answered last at first; whoever answers, answers for all.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import Any, Final, NamedTuple

from kt.errors import ProtocolError, ServerConnectionError, ServerError

PORT: Final = 2379
PATIENCE: Final = 2.0
"""Seconds that a server has to answer, at most."""
GONE: Final = "requested lease not found"
"""What etcd says of a lease that is over."""


class Entry(NamedTuple):
    """A key's value.

    Attributes:
        value: of the key.
        revision: of its last change.
        lease: with which it ends; 0: with none.
    """

    value: bytes
    revision: int
    lease: int


class Etcd:
    """Speaks with etcd. For one thread at a time.

    Args:
        places: host and port of each server, or of some.
        patience: seconds that each of them has for an answer.

    Raises, in each of its methods:
        ServerConnectionError: no server has answered. What was asked for may have been done.
        ServerError: one says why it cannot do it.
        ProtocolError: what one says is nothing that etcd says.
    """

    def __init__(self, places: Sequence[tuple[str, int]], patience: float = PATIENCE) -> None:
        self._places = list(places)
        self._patience = patience

    def read(self, prefix: str, seconds: float | None = None) -> dict[str, Entry]:
        """All keys that begin so, as they were at one moment; the prefix is left out.

        Args:
            prefix: not empty.
            seconds: after which it is given up; None for each server's patience.
        """
        begin = prefix.encode()
        end = begin[:-1] + bytes([begin[-1] + 1])
        answer = self._ask("kv/range", {"key": _text(begin), "range_end": _text(end)}, seconds)
        return {
            b64decode(one["key"]).decode()[len(prefix) :]: Entry(
                b64decode(one.get("value", "")), int(one["mod_revision"]), int(one.get("lease", 0))
            )
            for one in answer.get("kvs", ())
        }

    def write(self, seen: Mapping[str, int], puts: Mapping[str, tuple[str, int]]) -> bool:
        """Put keys if others are as they have been seen; whether they were.

        Args:
            seen: revision of the last change of each; 0: there is no such key.
            puts: value and lease of each; 0 for no lease.
        """
        request = {
            "compare": [
                {"key": _text(key.encode()), "target": "MOD", "mod_revision": str(revision)}
                for key, revision in seen.items()
            ],
            "success": [
                {
                    "request_put": {
                        "key": _text(key.encode()),
                        "value": _text(value.encode()),
                        "lease": str(lease),
                    }
                }
                for key, (value, lease) in puts.items()
            ],
        }
        return bool(self._ask("kv/txn", request).get("succeeded", False))

    def grant(self, seconds: int) -> int:
        """A new lease; its number."""
        return int(self._ask("lease/grant", {"TTL": str(seconds)})["ID"])

    def keep(self, lease: int) -> bool:
        """Let it last as long as at first from now on; False if it is over."""
        answer = self._ask("lease/keepalive", {"ID": str(lease)})
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    def revoke(self, lease: int) -> None:
        """End it, with all of its keys."""
        try:
            self._ask("lease/revoke", {"ID": str(lease)})
        except ServerError as error:
            if GONE not in str(error):
                raise

    def _ask(self, path: str, request: object, seconds: float | None = None) -> dict[str, Any]:
        """The answer of one of the servers."""
        body = json.dumps(request)
        end = None if seconds is None else monotonic() + seconds
        failures = []
        for place in tuple(self._places):
            left = self._patience if end is None else min(self._patience, end - monotonic())
            try:
                status, answer = _post(place, f"/v3/{path}", body, max(left, 0.001))
            except (OSError, HTTPException) as error:
                failures.append(f"{place[0]}:{place[1]}: {error or type(error).__name__}")
                continue
            self._places.remove(place)
            self._places.insert(0, place)
            return _checked(status, answer)
        raise ServerConnectionError(f"etcd does not answer: {'; '.join(failures)}")


def _post(place: tuple[str, int], path: str, body: str, seconds: float) -> tuple[int, bytes]:
    connection = HTTPConnection(*place, timeout=seconds)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _checked(status: int, answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        raise ProtocolError(f"etcd answers with status {status}, and no JSON") from None
    if not isinstance(found, dict):
        raise ProtocolError("etcd answers something else than an object")
    if status != 200 or "error" in found:
        raise ServerError(f"etcd says: {found.get('error', status)}", code=status)
    return found


def _text(data: bytes) -> str:
    return b64encode(data).decode()
