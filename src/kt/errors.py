"""Every exception that kt raises, and whose fault each one is.

::

    KTError
    ├── ArgumentError          the caller passed something that cannot be sent     (ValueError)
    ├── SerializationError     a value does not encode or decode                   (ValueError)
    │   └── ConversionError    the same for a column of a model
    ├── ImproperlyConfigured   an option, a dependency or a program is missing
    ├── ServerStartError       a server that we should run did not start
    ├── ServerConnectionError  the server cannot be reached or hung up             (ConnectionError)
    ├── ServerTimeoutError     the server did not answer in time                   (TimeoutError)
    ├── OutcomeUnknown         a request was sent: has it been carried out?
    │   ├── ReplyLostError     the server hung up instead of a reply  (ServerConnectionError)
    │   ├── ReplyTimeoutError  no reply in time                       (ServerTimeoutError)
    │   ├── BrokenReplyError   it hung up in the middle of a reply    (ProtocolError)
    │   └── UnconfirmedError   it has done it, and too few of its slaves have that
    ├── LogGapError            an update log no longer has what comes next
    ├── LogDamageError         a file of an update log is damaged
    ├── ProtocolError          the peer sent something that is not the protocol
    │   └── IncompleteReplyError  it stopped in the middle of a reply   (ReplyTimeoutError, too)
    └── ServerError            the server answered that the operation failed

A missing key is never an error.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in kt/__init__.py: importing typing would take longer than all else
if TYPE_CHECKING:
    from typing import Any


class KTError(Exception):
    """Root of every exception raised by this package. All can be pickled and copied."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[KTError], args: tuple[Any, ...], attributes: dict[str, Any]) -> KTError:
    """Return an exception as it was, without its constructor, whose arguments nobody kept."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


KyotoTycoonError = KTError


class ArgumentError(KTError, ValueError):
    """An argument cannot be sent: nothing has reached the server."""


class SerializationError(KTError, ValueError):
    """A value does not encode or decode with the client's serializer.

    The reply has been read whole, so the connection stays usable.

    Attributes:
        key: the key of the record, as the caller would see it; None where there is none.
        serializer: name of the serializer.
    """

    def __init__(self, message: str, *, key: str | bytes | None, serializer: str) -> None:
        super().__init__(message)
        self.key = key
        self.serializer = serializer


class ConversionError(SerializationError):
    """A column of a model does not convert.

    Attributes:
        model: name of the model; `serializer` is the same.
        column: name of the column.
        value: what does not convert; None if the row does not have the column.
    """

    def __init__(
        self, message: str, *, key: str | bytes | None, model: str, column: str, value: object
    ) -> None:
        super().__init__(message, key=key, serializer=model)
        self.model = model
        self.column = column
        self.value = value


class ImproperlyConfigured(KTError):
    """An option, an optional dependency or a program that is needed is missing or wrong."""


class ServerStartError(KTError):
    """A server that was to run as a sub-process did not come up.

    Attributes:
        output: what the server had printed.
    """

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class ServerConnectionError(KTError, ConnectionError):
    """The server cannot be reached, or the connection broke.

    Attributes:
        sent: True if the request may have reached the server, so that repeating it may do its work
            twice; False if it surely did not.
    """

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class ServerTimeoutError(KTError, TimeoutError):
    """The server did not answer within the client's timeout; the connection was closed.

    If it is no `ReplyTimeoutError`, the request had not been sent, or surely has not been done.
    """


class ProtocolError(KTError):
    """The peer sent bytes that are not the protocol; the connection was closed."""


class OutcomeUnknown(KTError):
    """The request was sent and there is no reply: it may have been carried out, or may not.

    A read can be repeated. Before a write is repeated, the program has to look, or to know that
    doing it twice is the same as doing it once (`set`, but neither `incr` nor `append`).

    What is raised is one of its subclasses, which say what happened, or this itself, where a
    gateway to a cluster says so.
    """


class ReplyLostError(ServerConnectionError, OutcomeUnknown):
    """The connection broke after a request had been sent and before its reply.

    On a cluster also: too few replicas have confirmed a write.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=True)


class ReplyTimeoutError(ServerTimeoutError, OutcomeUnknown):
    """A request was sent, and no reply came within the client's timeout."""


class BrokenReplyError(ProtocolError, OutcomeUnknown):
    """The connection broke in the middle of a reply."""


class UnconfirmedError(OutcomeUnknown):
    """The server has carried out a write, but too few slaves have confirmed it in time.

    That is how a kt-tycoon with ``-ack`` answers; if it is lost, the write may be lost with it.
    Where the protocol has no words for it, `BrokenReplyError` is raised instead.
    """


class IncompleteReplyError(ProtocolError, ReplyTimeoutError):
    """The peer began a reply and did not finish it within the timeout."""


class LogGapError(KTError):
    """An update log no longer has everything that comes after a position: files were removed.

    Attributes:
        oldest: the position from which on the log has everything.
    """

    def __init__(self, message: str, *, oldest: str) -> None:
        super().__init__(message)
        self.oldest = oldest


class LogDamageError(KTError):
    """A file of an update log, or a snapshot, is damaged. What comes before has been read.

    Attributes:
        path: the file.
        offset: where the damaged stretch begins.
        size: how many bytes it has.
        reason: what is wrong there.
    """

    def __init__(self, path: str, offset: int, size: int, reason: str) -> None:
        super().__init__(f"{path} is damaged at offset {offset} ({size} bytes): {reason}")
        self.path = path
        self.offset = offset
        self.size = size
        self.reason = reason


class ServerError(KTError):
    """The server reports that an operation failed; the connection stays usable.

    Attributes:
        code: the protocol's number for the failure (an HTTP status for Kyoto Tycoon's RPC, the
            reply's code byte for Tokyo Tyrant), or None where the protocol has none.
        message: the server's own words, possibly empty.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message if code is None else f"{message} (code {code})")
        self.code = code
        self.message = message
