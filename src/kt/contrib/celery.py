"""Celery: results in Kyoto Tycoon.

::

    app = Celery("shop", broker="...", backend="kt://localhost:1978")

Results are JSON unless Celery's ``result_serializer`` says something else. They expire as
``result_expires`` says, at the server. Chords are counted at the server, too, so that each part
costs one request more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery.backends.base import KeyValueStoreBackend
from kombu.utils.encoding import bytes_to_str

from kt.contrib.store import Store
from kt.errors import ServerConnectionError, ServerTimeoutError

PARTS = ("unix:", "etcd:", "etcds:")
"""What Celery leaves of ``kt+unix:`` and so on: it takes what is before ``+`` for a class."""


class KyotoTycoonBackend(KeyValueStoreBackend):
    """A result back end in a database of a Kyoto Tycoon server.

    Args:
        app: the application. Of its ``result_backend_transport_options``, ``client_options`` is a
            dict of options for `KyotoTycoon.from_url` (``timeout``, ``retry`` and so on), and
            ``global_keyprefix`` begins every key.
        expires: seconds or a timedelta; None for ``result_expires``.
        url: ``kt://HOST:PORT/DB``, ``kt+unix:///PATH``, or ``kt+etcd://HOST:PORT/SERVICE``.
        kwargs: what every back end of Celery takes.

    Raises:
        ArgumentError: it is no such URL, or an option makes no sense.
    """

    key_t = bytes_to_str
    supports_autoexpire = True
    supports_native_join = True
    implements_incr = True

    def __init__(
        self, app: Any = None, expires: Any = None, url: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(app, url=url, **kwargs)
        self.expires = self.prepare_expires(expires, type=int)
        place = f"kt+{url}" if url is not None and url.startswith(PARTS) else url
        transport = self.app.conf.get("result_backend_transport_options") or {}
        self._store = Store(place, **transport.get("client_options", {}))

    def get(self, key: str) -> bytes | None:
        """Return a value, or None."""
        return self._store.get(key)

    def mget(self, keys: Iterable[str]) -> list[bytes | None]:
        """Return values, or None, in the order of `keys`, in one request."""
        wanted = list(keys)
        found = self._store.get_many(wanted)
        return [found.get(key) for key in wanted]

    def set(self, key: str, value: str | bytes) -> None:
        """Store a value; it expires as results do."""
        self._store.set(key, _data(value), self.expires or None)

    def delete(self, key: str) -> None:
        """Remove a value, if there is one."""
        self._store.delete(key)

    def incr(self, key: str) -> int:
        """Add 1 to a counter and return the sum; it expires as results do."""
        return self._store.client.incr(key, expire_time=self.chord_expires or None)

    def expire(self, key: str, value: int | None) -> None:
        """Let a value live for `value` seconds from now; 0 or None: for ever."""
        self._store.touch(key, value or None)

    def exception_safe_to_retry(self, exc: BaseException) -> bool:
        """Return whether to try again after `exc`, if ``result_backend_always_retry`` is set."""
        return isinstance(exc, ServerConnectionError | ServerTimeoutError)

    def __reduce__(self, args: Any = (), kwargs: Any = None) -> Any:
        more = {**(kwargs or {}), "expires": self.expires, "url": self.url}
        return super().__reduce__(args, more)


def _data(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
