"""A hook for clients: slow calls in the log."""

from __future__ import annotations

import logging

from kt.client.arguments import OnCall, checked_seconds


def slow_calls(limit: float) -> OnCall:
    """Return what warns of calls that take longer than `limit` seconds, on the logger ``kt``.

    ::

        db = KyotoTycoon("localhost", on_call=slow_calls(0.1))

    Raises:
        ArgumentError: `limit` is no positive number.
    """
    checked_seconds(limit, "limit")
    logger = logging.getLogger("kt")

    def warn(name: str, seconds: float, error: BaseException | None) -> None:
        if seconds > limit:
            outcome = "" if error is None else f" and failed: {error!r}"
            logger.warning("%s took %.3f s%s", name, seconds, outcome)

    return warn
