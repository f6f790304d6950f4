"""etcd, a small database that several machines agree on: keys, leases, conditional changes.

::

    POST /v3/kv/range         keys that begin so, all as of one revision
    POST /v3/kv/txn           if nobody has touched these keys meanwhile: put others
    POST /v3/lease/...        grant, keepalive, revoke: keys of a lease are gone when it is over
    POST /v3/auth/...         authenticate: a token for user and password, when etcd asks for one

It is spoken with by its JSON gateway, version 3.4 or later, a connection for each call. Keys and
values are base64 there, and numbers text. A call goes to one of several servers, the one that has
answered last at first; whoever answers, answers for all, unless it only says that it has no contact
with the others.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import SSLContext
from time import monotonic
from typing import Any, Final, NamedTuple

from kt.errors import ArgumentError, ProtocolError, ServerConnectionError, ServerError
from kt.net.tls import failure

PORT: Final = 2379
PATIENCE: Final = 2.0
"""Seconds that a server has to answer, at most."""
GONE: Final = "requested lease not found"
"""What etcd says of a lease that is over."""
NO_TOKEN: Final = ("user name is empty", "invalid auth token", "revision of auth store is old")
"""What it says where a token is missing, or is none any more."""
DENIED: Final = "permission denied"
SHOWN: Final = 100
"""Bytes that are shown of an answer of somebody else."""
CUT_OFF: Final = (503, 504)
"""Status of what a server says that has no contact with the others."""


Place = tuple[str, int]
"""Host and port of a server."""


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


def login_from_file(path: str) -> tuple[str, str]:
    """Name and password of a user, as a file has them: ``NAME:PASSWORD``.

    Raises:
        ArgumentError: it cannot be read, or has something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            name, _, password = file.read().strip().partition(":")
    except (OSError, ValueError) as error:
        raise ArgumentError(f"{path} cannot be read: {error}") from None
    if not name or not password:
        raise ArgumentError(f"{path} has no USER:PASSWORD in it")
    return name, password


class Etcd:
    """Speaks with etcd. Any thread may call it.

    Args:
        places: host and port of each server, or of some.
        patience: seconds that each of them has for an answer.
        login: name and password of a user; None: etcd asks for none.
        tls: checks who they are, and has connections encrypted; None: without TLS.

    Raises, in each of its methods:
        ServerConnectionError: no server has answered. What was asked for may have been done.
        ServerError: one says why it cannot do it.
        ProtocolError: what one says is nothing that etcd says.
    """

    def __init__(
        self,
        places: Sequence[Place],
        patience: float = PATIENCE,
        *,
        login: tuple[str, str] | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self._places = tuple(places)
        self._patience = patience
        self._login = login
        self._tls = tls
        self._token = ""

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
        end = None if seconds is None else monotonic() + seconds
        token = self._token
        try:
            return self._send(path, request, end)
        except ServerError as error:
            # Who has shown a certificate, and no token, is somebody without a name.
            wanting = NO_TOKEN if token else (*NO_TOKEN, DENIED)
            if self._login is None or not any(words in str(error) for words in wanting):
                raise
        name, password = self._login
        self._token = ""  # with one that is none any more, it would refuse this, too
        request_for_token = {"name": name, "password": password}
        self._token = str(self._send("auth/authenticate", request_for_token, end)["token"])
        return self._send(path, request, end)

    def _send(self, path: str, request: object, end: float | None) -> dict[str, Any]:
        body = json.dumps(request)
        failures = []
        for place in self._places:
            left = self._patience if end is None else min(self._patience, end - monotonic())
            try:
                status, answer = self._post(place, f"/v3/{path}", body, max(left, 0.001))
            except (OSError, HTTPException) as error:
                why = str(error) or type(error).__name__
                failures.append(f"{place[0]}:{place[1]}: {why}")
                continue
            if status in CUT_OFF:
                failures.append(f"{place[0]}:{place[1]}: {_said(answer)}")
                continue
            self._places = (place, *(other for other in self._places if other != place))
            return _checked(status, answer)
        raise ServerConnectionError(f"etcd does not answer: {'; '.join(failures)}")

    def _post(self, place: Place, path: str, body: str, seconds: float) -> tuple[int, bytes]:
        connection = (
            HTTPConnection(*place, timeout=seconds)
            if self._tls is None
            else HTTPSConnection(*place, timeout=seconds, context=self._tls)
        )
        try:
            _connect(connection)
            headers = {"Authorization": self._token} if self._token else {}
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _connect(connection: HTTPConnection) -> None:
    try:
        connection.connect()
    except OSError as error:
        why = failure(error) if isinstance(connection, HTTPSConnection) else None
        if why is None:
            raise
        raise OSError(why) from None


def _checked(status: int, answer: bytes) -> dict[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        raise ProtocolError(
            f"etcd answers with status {status}, and no JSON: {_said(answer)}"
        ) from None
    if not isinstance(found, dict):
        raise ProtocolError("etcd answers something else than an object")
    if status != 200 or "error" in found:
        raise ServerError(f"etcd says: {found.get('error', status)}", code=status)
    return found


def _said(answer: bytes) -> str:
    return answer[:SHOWN].decode(errors="replace").strip()


def _text(data: bytes) -> str:
    return b64encode(data).decode()
