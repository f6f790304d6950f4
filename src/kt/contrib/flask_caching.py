"""Flask-Caching: a cache in Kyoto Tycoon.

::

    Cache(app, config={
        "CACHE_TYPE": "kt.contrib.flask_caching.KyotoTycoonCache",
        "CACHE_KYOTO_TYCOON_URL": "kt://localhost:1978",
    })

Values are pickled unless CACHE_OPTIONS names another ``serializer``: whoever can write to the
server can then run code in this program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from flask_caching.backends.base import BaseCache

from kt.contrib import cachelib

if TYPE_CHECKING:
    from flask import Flask


class KyotoTycoonCache(cachelib.KyotoTycoonCache, BaseCache):
    """`kt.contrib.cachelib.KyotoTycoonCache`, made from the configuration of an application."""

    @classmethod
    def factory(
        cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]
    ) -> Self:
        """Make the cache that `config` describes; called by Flask-Caching.

        Args:
            app: the application.
            config: CACHE_KYOTO_TYCOON_URL and CACHE_KEY_PREFIX are for this class.
            args: CACHE_ARGS, arguments of this class by their position.
            kwargs: CACHE_OPTIONS, other arguments, and CACHE_DEFAULT_TIMEOUT.

        Raises:
            ArgumentError: they make no cache.
        """
        if not args and "place" not in kwargs:
            kwargs["place"] = config.get("CACHE_KYOTO_TYCOON_URL")
        kwargs.setdefault("key_prefix", config.get("CACHE_KEY_PREFIX"))
        return cls(*args, **kwargs)
