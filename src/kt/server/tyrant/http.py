"""HTTP requests to kt-tyrant: records as resources, functions by POST.

=======  ==================================  =====================================================
method   headers of the request              replies
=======  ==================================  =====================================================
GET      none                                200 with the value; 404
HEAD     none                                200 with the value's Content-Length; 404
PUT      X-TT-PDMODE: 1 keep, 2 append       201; 409 if there is a record to keep; 500
DELETE   none                                200; 404
POST     X-TT-XNAME: a Lua function          200 with its result; 500
POST     X-TT-MNAME: a function of `misc`,   200 with its result, a form of fields res1, res2, ...;
         its arguments in the body           500
OPTIONS  none                                200, the server's status in headers
=======  ==================================  =====================================================

The key is what follows the first slash of the target, a query included, and is URL-decoded. 403
answers what the mask forbids. An unknown method gets no answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from kt.server.engines.tokyo._engine import Event, Hold
from kt.server.tyrant.answering import LARGE_VALUE, Answering, Pieces
from kt.server.tyrant.options import Command
from kt.server.tyrant.script import TyrantScript
from kt.server.tyrant.service import TyrantService
from kt.server.tyrant.status import GET_MISSES, OUT_MISSES, PUT_MISSES, option_headers
from kt.wire.http import HttpRequest, pack_http_reply, parse_number
from kt.wire.tyrant import decode_misc
from kt.wire.tyrant_commands import OK_REPLY

Headers = list[tuple[bytes, bytes]]
TEXT: Final[Headers] = [(b"Content-Type", b"text/plain")]
VALUE: Final[Headers] = [(b"Content-Type", b"application/octet-stream")]
FORM: Final[Headers] = [(b"Content-Type", b"application/x-www-form-urlencoded")]
SAFE: Final = "!*'()"
"""What is not encoded in a form, besides letters, digits and ``_.-~``."""

_WORDS: Final = {
    200: b"OK\n",
    201: b"Created\n",
    400: b"Bad Request\n",
    403: b"Forbidden\n",
    404: b"Not Found\n",
    409: b"Conflict\n",
    500: b"Internal Server Error\n",
}


class Answer(NamedTuple):
    """What a method comes to; `body` is None for a reply that has none."""

    status: int
    headers: Headers
    body: bytes | None


def _say(status: int) -> Answer:
    """An answer in words."""
    return Answer(status, TEXT, _WORDS[status])


# Methods for records, in any thread


def get(service: TyrantService, key: bytes, request: HttpRequest) -> Answer:
    value = service.database.get(key)
    if value is None:
        service.core.count(GET_MISSES)
        return _say(404)
    return Answer(200, VALUE, value)


def head(service: TyrantService, key: bytes, request: HttpRequest) -> Answer:
    size = service.database.vsiz(key)
    if size is None:
        return Answer(404, [], None)
    return Answer(200, [*VALUE, (b"Content-Length", b"%d" % size)], None)


def put(service: TyrantService, key: bytes, request: HttpRequest) -> Answer:
    database = service.database
    mode = parse_number(request.headers.get(b"x-tt-pdmode", b""))
    store = {1: database.putkeep, 2: database.putcat}.get(mode, database.put)
    if store(key, request.body):
        return _say(201)
    service.core.count(PUT_MISSES)
    if mode == 1:
        return _say(409)
    service.note(Command.PUT, Event.FAILED)
    return _say(500)


def delete(service: TyrantService, key: bytes, request: HttpRequest) -> Answer:
    if service.database.out(key):
        return _say(200)
    service.core.count(OUT_MISSES)
    return _say(404)


class Method(NamedTuple):
    """A method for records: what it does, and how the mask forbids it."""

    run: Callable[[TyrantService, bytes, HttpRequest], Answer]
    command: Command
    group: Command


METHODS: Final = {
    b"GET": Method(get, Command.GET, Command.ALLREAD),
    b"HEAD": Method(head, Command.VSIZ, Command.ALLREAD),
    b"PUT": Method(put, Command.PUT, Command.ALLWRITE),
    b"DELETE": Method(delete, Command.OUT, Command.ALLWRITE),
}


def serve_http(session: Answering, request: HttpRequest) -> None:
    """Serve a request; one of an unknown method ends the connection."""
    service = session.service
    if not request.keep_alive:
        session.part()
    if request.method in METHODS:
        method = METHODS[request.method]
        service.core.count(method.command)
        work = partial(method.run, service, record_key(request.target), request)
        groups = (method.group, Command.ALLHTTP)
        _run(session, method.command, groups, work, slow=len(request.body) > LARGE_VALUE)
    elif request.method == b"POST":
        _post(session, request)
    elif request.method == b"OPTIONS":
        service.core.count(Command.STAT)
        work_options = partial(_options, session)
        _run(session, Command.STAT, (Command.ALLREAD, Command.ALLORG), work_options)
    else:
        session.part()


def record_key(target: bytes) -> bytes:
    """The key that a target means."""
    if target[:7].lower() == b"http://":
        slash = target.find(b"/", 7)
        target = target[slash:] if slash >= 0 else target
    return _url_decoded(target.removeprefix(b"/"))


def _url_decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _run(
    session: Answering,
    command: Command,
    groups: tuple[Command, ...],
    work: Callable[[], Answer],
    *,
    slow: bool = False,
    hold: Hold = Hold.NONE,
) -> None:
    """Answer with what `work` returns, if the mask allows the command."""
    service = session.service
    if session.forbids(command, *groups):
        service.note(command, Event.FORBIDDEN)
        forbidden = Answer(403, [], None) if command is Command.VSIZ else _say(403)
        session.send(_packed(forbidden))
    else:
        session.run(service.holding(hold, lambda: _packed(work())), slow=slow)


def _packed(answer: Answer) -> Pieces:
    """The reply; the original never has a Connection header."""
    status, headers, body = answer
    if body is None or len(body) <= LARGE_VALUE:
        return pack_http_reply(status, headers, body)
    headers = [(b"Content-Length", b"%d" % len(body)), *headers]
    return [pack_http_reply(status, headers, None), body]


def _options(session: Answering) -> Answer:
    headers = option_headers(session.service, session.descriptor, session.forbids)
    return Answer(200, headers, b"")


# Functions


def _post(session: Answering, request: HttpRequest) -> None:
    service = session.service
    service.core.count(Command.EXT)
    function = request.headers.get(b"x-tt-mname", b"")
    if request.headers.get(b"x-tt-xname"):
        _post_ext(session, request)
    elif not function:
        session.send(_packed(_say(400)))
    else:
        arguments = _arguments(request.body)
        if session.forbids_misc(function, arguments):
            service.note(Command.MISC, Event.FORBIDDEN)
            session.send(_packed(_say(403)))
            return
        hold = service.database.hold_of(function, arguments)
        work = partial(misc, service, function, arguments)
        _run(session, Command.MISC, (Command.ALLHTTP,), work, slow=True, hold=hold)


def _post_ext(session: Answering, request: HttpRequest) -> None:
    """Call a Lua function, if there is a script and the mask allows it."""
    service = session.service
    if not service.has_scripts or session.forbids(Command.EXT, Command.ALLHTTP):
        _run(session, Command.EXT, (Command.ALLHTTP,), partial(_say, 500))
    else:
        session.run_script(lambda script: _packed(ext(script, request)))


def ext(script: TyrantScript, request: HttpRequest) -> Answer:
    name = request.headers[b"x-tt-xname"]
    flags = parse_number(request.headers.get(b"x-tt-xopts", b""))
    result = script.call(name, record_key(request.target), request.body, flags)
    return _say(500) if result is None else Answer(200, VALUE, result)


def misc(service: TyrantService, function: bytes, arguments: list[bytes]) -> Answer:
    found = service.database.misc(function, arguments)
    if found is None:
        return _say(500)
    items = enumerate(decode_misc(OK_REPLY + found, False), 1)
    fields = (f"res{number}={quote_from_bytes(item, SAFE)}" for number, item in items)
    return Answer(200, FORM, "&".join(fields).encode())


def _arguments(form: bytes) -> list[bytes]:
    """The values of a form, in order; of equal names the first counts."""
    fields: dict[bytes, bytes] = {}
    for field in form.replace(b";", b"&").split(b"&"):
        name, _, value = field.strip().partition(b"=")
        if field:
            fields.setdefault(_url_decoded(name), _url_decoded(value))
    return list(fields.values())
