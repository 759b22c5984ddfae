"""Types of the fields of requests, checked where a program passes them."""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from sr_cli.errors import RefusedError

_NUMBERS: dict[Any, type] = {int: Integral, float: Real}
"""NumPy's numbers are numbers as well; True is none."""


def check_types(request: Any, place: str = "") -> None:
    """Check that every field of a dataclass has the type that it declares, at every depth.

    Args:
        request: An instance of a dataclass.
        place: What the names of its fields begin with, for errors.

    Raises:
        RefusedError: `invalid-request`, with the field and its type.
    """
    kinds = get_type_hints(type(request))
    for field in fields(request):
        value, kind = getattr(request, field.name), kinds[field.name]
        if not _fits(value, kind):
            wanted = kind.__name__ if isinstance(kind, type) else str(kind)
            given = type(value).__name__
            raise RefusedError("invalid-request", place + field.name, wanted=wanted, given=given)
        if is_dataclass(kind):
            check_types(value, f"{place}{field.name}.")


def _fits(value: Any, kind: Any) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, k) for k in arguments)
    if origin is Literal:
        # Which of the values it may be is for the room to say, with the known ones.
        return isinstance(value, tuple({type(a) for a in arguments}))
    if origin in (tuple, Sequence):
        wanted = tuple if origin is tuple else (list, tuple)
        return isinstance(value, wanted) and all(_fits(v, arguments[0]) for v in value)
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    return isinstance(value, kind)
