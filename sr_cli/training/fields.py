"""Structs filled from tables, with errors that name the wrong field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from sr_cli.errors import RefusedError

StructT = TypeVar("StructT", bound=msgspec.Struct)

_KINDS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "boolean": "true or false",
    "object": "a table",
}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}


def with_fields(base: StructT, table: Mapping[str, Any], path: str = "") -> StructT:
    """Copy a struct, overriding fields with those of a table.

    Args:
        base: The struct with all other fields, at every depth.
        table: Values by name; nested structs are tables.
        path: The prefix of field names in errors, such as `photo.first.`.

    Raises:
        RefusedError: `unknown-field` with the known ones, `unknown-value` with the known ones,
            `wrong-type`, `out-of-range`, and what the struct itself raises.
    """
    kinds = {field.name: field.type for field in msgspec.structs.fields(base)}
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in kinds:
            raise RefusedError("unknown-field", f"{path}{name}", known=list(kinds))
        own = getattr(base, name)
        if isinstance(own, msgspec.Struct) and isinstance(value, Mapping):
            values[name] = with_fields(own, value, f"{path}{name}.")
        else:
            values[name] = convert_value(value, kinds[name], f"{path}{name}")
    try:
        return msgspec.structs.replace(base, **values)
    except RefusedError as error:
        error.subject = f"{path}{error.subject}"
        raise


def convert_value(value: Any, kind: Any, name: str) -> Any:
    """Convert and validate a value for a field.

    Args:
        value: From TOML or JSON.
        kind: The annotation of the field, with msgspec's constraints.
        name: The name of the field, for errors.

    Raises:
        RefusedError: `unknown-value`, `wrong-type` or `out-of-range`.
    """
    inner = _dict_kinds(kind)
    if inner is not None and isinstance(value, Mapping):
        for key, entry in value.items():
            _convert_one(key, inner[0], name)
            _convert_one(entry, inner[1], f"{name}.{key}")
    return _convert_one(value, kind, name)


def _convert_one(value: Any, kind: Any, name: str) -> Any:
    try:
        made = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise _refusal(value, msgspec.json.schema(kind), name) from None
    # TOML allows inf and nan, which no field can use.
    if isinstance(made, float) and not math.isfinite(made):
        raise RefusedError("wrong-type", name, value=str(made), wanted="a finite number")
    return made


def _dict_kinds(kind: Any) -> tuple[Any, Any] | None:
    """The types of a dict's keys and values; None for any other annotation."""
    while hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    if get_origin(kind) is not dict:
        return None
    key, value = get_args(kind)
    return key, value


def _refusal(value: Any, schema: Mapping[str, Any], name: str) -> RefusedError:
    """The error for an invalid value, from the JSON schema of the field."""
    if "enum" in schema:
        return RefusedError("unknown-value", name, value=value, known=schema["enum"])
    limits = [text.format(schema[key]) for key, text in _LIMITS.items() if key in schema]
    whole = schema.get("type") == "number" or isinstance(value, int)
    if limits and whole and isinstance(value, int | float) and not isinstance(value, bool):
        return RefusedError("out-of-range", name, value=value, allowed=", ".join(limits))
    if schema.get("type") != "array":
        wanted = " ".join([_KINDS[schema.get("type", "object")], *limits])
        if schema.get("minProperties"):
            wanted += " with at least one entry"
        return RefusedError("wrong-type", name, value=_shown(value), wanted=wanted)
    items = schema.get("prefixItems") or [schema["items"]]
    count = len(items) if "prefixItems" in schema else None
    if isinstance(value, list | tuple) and value and count in (None, len(value)):
        for index, entry in enumerate(value):
            item = items[min(index, len(items) - 1)]
            if not _fits(entry, item):
                return _refusal(entry, item, name)
    wanted = f"a list of {count} numbers" if count else "a list of numbers"
    return RefusedError("wrong-type", name, value=_shown(value), wanted=wanted)


def _shown(value: Any) -> str:
    """A value as a recipe has it: text in quotes, lists in brackets."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a number is within the limits of its schema."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if schema["type"] == "integer" and not isinstance(value, int):
        return False
    above = schema.get("exclusiveMinimum", -math.inf) < value
    below = value < schema.get("exclusiveMaximum", math.inf)
    within = schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
    return bool(above and below and within)
