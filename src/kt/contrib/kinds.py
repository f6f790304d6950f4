"""What values of a type are instances of, for serializers that must not store others."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, get_args, get_origin, is_typeddict


def instances_of(kind: Any) -> Any:
    """Return what `isinstance` takes for the values of a type: a class, or several.

    `object` where there is no such class: a union, for example.
    """
    found = get_origin(kind) or kind
    if found is Annotated:
        return instances_of(get_args(kind)[0])
    if found is UnionType:
        return object
    if is_typeddict(found):
        return dict
    if found is float:
        return (float, int)
    return found if isinstance(found, type) else object
