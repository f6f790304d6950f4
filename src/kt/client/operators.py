"""Operators that Python cannot await, for whatever has ``await x[key]``.

Where there is no `__contains__` and no `__iter__`, Python tries ``x[0]``, ``x[1]`` and so on until
one raises IndexError. Those of an asyncio client are coroutines and raise nothing: ``key in x``
would never return, and ``list(x)`` would take all memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn


class Unawaitable:
    """Refuses ``key in x`` and iteration, and says what to write instead."""

    _membership: ClassVar[str] = "exists"  # the method that stands for ``in``

    if not TYPE_CHECKING:  # to a type checker, there are no such operators

        def __contains__(self, item: Any) -> NoReturn:
            name = type(self).__name__
            raise TypeError(f"Python cannot await 'in' {name}: write 'await x.{self._membership}'")

        def __iter__(self) -> NoReturn:
            name = type(self).__name__
            raise TypeError(f"{name} is iterated over with 'async for', not with 'for' or list()")
