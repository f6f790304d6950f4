"""What triples are given as, and what is searched for among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple

from kt.types import K


class Triple(NamedTuple, Generic[K]):
    """A subject, what it has to do with an object, and the object."""

    subject: K
    predicate: K
    object: K


@dataclass(frozen=True, slots=True)
class Var:
    """A part of a pattern that may be anything, but the same wherever its name stands."""

    name: str
