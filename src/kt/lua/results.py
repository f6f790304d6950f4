"""What the containers give and raise besides values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from kt.errors import KTError

T = TypeVar("T")

NEVER: Final = float("inf")


class Outcome(NamedTuple, Generic[T]):
    """What an attempt to consume came to.

    Attributes:
        result: what there was; None if there was nothing.
        again: seconds after which there will be something, infinite if nobody knows.
    """

    result: T | None
    again: float = NEVER


class LockLost(KTError):
    """A lock is not ours: it was not acquired, or its time was over and others may have had it."""


@dataclass(frozen=True, slots=True)
class Permit:
    """A rate limiter's answer, true if it allows.

    Attributes:
        allowed: whether there were as many tokens as wanted.
        remaining: tokens that are left.
        retry_after: seconds until there will be as many as wanted; 0 if there were, infinite if
            there never will.
    """

    allowed: bool
    remaining: float
    retry_after: float

    def __bool__(self) -> bool:
        return self.allowed
