"""Records as plain HTTP resources: ``/KEY`` in the first database, ``/DATABASE/KEY`` in another.

=======  ==================================  =====================================================
method   headers of the request              replies
=======  ==================================  =====================================================
GET      none                                200 with the value, and X-Kt-Xt if it expires; 404
HEAD     none                                the same without the value, with its Content-Length
PUT      X-Kt-Mode: set, add or replace;     201 with Location; 450 if there is a record (add) or
         X-Kt-Xt: expiry as a date           is none (replace)
DELETE   none                                204; 404
other                                        501
any                                          403: the client may not do this
=======  ==================================  =====================================================

A failure of the engine has its words in X-Kt-Error, with status 500 where none is given above.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple, TypeAlias

from kt.server.engines import EngineError, LargeValue
from kt.server.engines.kyoto._engine import NEVER, XT_MAX, Code, Database
from kt.server.tycoon.answering import Answering
from kt.server.tycoon.large import LARGE_VALUE
from kt.server.tycoon.rights import NEEDED_BY_METHOD, refusal
from kt.server.tycoon.values import date, http_date
from kt.wire.tycoon_rpc import HttpRequest, decode_url, pack_http_reply

Headers: TypeAlias = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """What a method comes to; `body` is None for a reply that has none."""

    status: int
    headers: Headers
    body: bytes | None = b""


def get(db: Database, key: bytes, request: HttpRequest) -> Answer:
    value, xt = db.get(key)
    return Answer(200, _expiry(xt), value)


def head(db: Database, key: bytes, request: HttpRequest) -> Answer:
    size, xt = db.check(key)
    return Answer(200, [*_expiry(xt), (b"Content-Length", b"%d" % size)], None)


def put(db: Database, key: bytes, request: HttpRequest) -> Answer:
    xt = date(request.headers.get(b"x-kt-xt", b""))
    expiry = -xt if xt is not None and 0 < xt < XT_MAX else NEVER
    mode = request.headers.get(b"x-kt-mode", b"").lower()
    store = {b"add": db.add, b"replace": db.replace}.get(mode, db.set)
    store(key, request.body, expiry)
    return Answer(201, [])


def delete(db: Database, key: bytes, request: HttpRequest) -> Answer:
    db.remove(key)
    return Answer(204, [])


def _expiry(xt: int) -> Headers:
    return [(b"X-Kt-Xt", http_date(xt))] if xt < XT_MAX else []


METHODS: Final = {
    b"GET": (get, "get"),
    b"HEAD": (head, "get"),
    b"PUT": (put, "set"),
    b"DELETE": (delete, "remove"),
}
"""By method: the function, and what it counts as."""


def split_path(target: bytes) -> tuple[bytes, bytes]:
    """The database's expression, empty if there is none, and the key; both decoded."""
    path = target.partition(b"?")[0].removeprefix(b"/")
    database, slash, key = path.partition(b"/")
    if not slash:
        return b"", decode_url(path)
    return decode_url(database), decode_url(key.removeprefix(b"/"))


def serve_record(session: Answering, request: HttpRequest) -> None:
    """Serve a request that is not a call."""
    service = session.service
    known = request.method in METHODS
    session.command = f"rest_{request.method.decode().lower()}" if known else "rest_unknown"
    expression, key = split_path(request.target)
    database = service.database(expression)
    finish = partial(_finish, session, request)
    if database is None:
        finish(Answer(400, [], b"no such database\n"))
    elif not known:
        finish(Answer(501, []))
    elif (refused := refusal(NEEDED_BY_METHOD[request.method], session.rights)) is not None:
        finish(Answer(403, [(b"X-Kt-Error", refused)]))
    elif service.shut:
        finish(Answer(503, []))
    else:
        with service.turn:
            slow = service.engine_may_block or len(request.body) > LARGE_VALUE
            answer = None if slow else _run_at_once(database, key, request)
        if answer is None:
            session.in_thread(partial(_run, database, key, request), finish)
        else:
            finish(answer)


def _run_at_once(database: Database, key: bytes, request: HttpRequest) -> Answer | None:
    """As `_run`; None if it is for a worker thread."""
    try:
        return _run(database, key, request)
    except LargeValue:
        return None


def _run(database: Database, key: bytes, request: HttpRequest) -> Answer:
    """Serve by the method, in any thread."""
    try:
        return METHODS[request.method][0](database, key, request)
    except EngineError as error:
        headers = [(b"X-Kt-Error", str(error).encode("utf-8", "surrogateescape"))]
        if request.method == b"HEAD":
            headers.append((b"Content-Length", b"0"))
        logical = 450 if request.method == b"PUT" else 404
        return Answer(logical if error.code in (Code.NOREC, Code.DUPREC) else 500, headers)


def _finish(session: Answering, request: HttpRequest, answer: Answer) -> None:
    """Count and reply."""
    service = session.service
    if service.shut and answer.status not in (400, 403, 501):  # perhaps since it began
        answer = Answer(503, [(b"X-Kt-Error", service.shut.encode())])
    status, headers, body = answer
    if status not in (400, 403, 501, 503):
        kind = METHODS[request.method][1]
        service.counts[kind] += 1
        if status >= 400:
            service.counts[f"{kind}_misses"] += 1
    if status == 500:
        service.failed(request.method, headers[0][1])
    if status == 201:
        headers = [(b"Location", service.location + request.target)]
    bodies = []
    if body is not None and len(body) > LARGE_VALUE:  # it is not copied
        headers = [(b"Content-Length", b"%d" % len(body)), *headers]
        bodies, body = [body], None
    reply = pack_http_reply(
        status,
        headers,
        None if request.method == b"HEAD" else body,
        keep_alive=request.keep_alive,
        stamp=service.stamp,
    )
    session.answer(request, status, reply, *bodies)
