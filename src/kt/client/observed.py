# Generated from observed_async.py by tools/async_to_sync.py: edit that one.
"""Clients whose calls are told to a function, for logs, metrics and traces.

A client with `on_call` is of a subclass in which every method that asks the server is wrapped; one
without is as it was, so that not to observe costs nothing. A method that calls others is one call,
and so is a pipeline, when it is carried out. Cursors and other iterations are not observed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, wraps
from inspect import getattr_static, isfunction
from time import perf_counter
from typing import Any, Final

from kt.client.arguments import OnCall

UNOBSERVED: Final = {
    *("changes", "cursor", "items", "query", "table", "values"),  # ask when they are used
    *("checkin", "close", "from_url", "set_database", "using"),
}
"""Public methods that ask no server."""

_inside: ContextVar[bool] = ContextVar("_inside", default=False)


def observe(client: Any, on_call: OnCall) -> None:
    """Tell the calls of `client` to `on_call` from now on."""
    if "_on_call" not in vars(client):
        kind: Any = type(client)
        client.__class__ = _observed(kind)
    vars(client)["_on_call"] = on_call


@cache
def _observed(kind: Any) -> Any:
    """Return a subclass of a client's class that tells what it is asked for."""
    names = (name for name in dir(kind) if not name.startswith("_") and name not in UNOBSERVED)
    methods = {name: getattr_static(kind, name) for name in names}
    space: dict[str, Any] = {
        name: _wrapped(name, method) for name, method in methods.items() if isfunction(method)
    }
    space["pipeline"] = _observed_pipeline(kind.pipeline)
    return _subclass(kind, space)


@cache
def _observed_flow(kind: Any) -> Any:
    """Return a subclass of a pipeline's class that tells when it is carried out."""
    return _subclass(kind, {"flush": _wrapped("pipeline", kind.flush)})


def _subclass(kind: Any, space: dict[str, Any]) -> Any:
    return type(kind.__name__, (kind,), {**space, "__module__": kind.__module__})


def _observed_pipeline(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def pipeline(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = method(self, *args, **kwargs)
        made._on_call = self._on_call
        kind: Any = type(made)
        made.__class__ = _observed_flow(kind)
        return made

    return pipeline


def _wrapped(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _inside.get():
            return method(self, *args, **kwargs)
        inside = _inside.set(True)
        failure: BaseException | None = None
        begin = perf_counter()
        try:
            return method(self, *args, **kwargs)
        except BaseException as error:
            failure = error
            raise
        finally:
            seconds = perf_counter() - begin
            _inside.reset(inside)
            try:
                self._on_call(name, seconds, failure)
            except Exception:
                logging.getLogger("kt").exception("on_call failed for %s", name)

    return call
