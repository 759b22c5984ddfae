"""Reading and writing recipes as TOML, and settings from the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from sr_cli.errors import RefusedError
from sr_cli.training.fields import convert_value, with_fields
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA_FILE = "recipe.schema.json"
_PACKAGE = Path(__file__).resolve().parent.parent
_NAMED = ("model", "scales")
"""Fields that select the defaults for the others."""


def shipped_recipes() -> dict[str, Path]:
    """The shipped recipes by name, in the package or next to it in a checkout."""
    folders = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
    return {f.stem: f for folder in folders for f in sorted(folder.glob("*.toml"))}


def read_recipe(source: str | Path) -> dict[str, Any]:
    """Read a TOML file, or a shipped recipe by its name.

    Raises:
        RefusedError: `unknown-value` for an unknown name, `unreadable-file`,
            `invalid-toml`.
    """
    path = Path(source)
    if not path.suffix and not os.path.exists(path):
        known = shipped_recipes()
        if path.name not in known or path.name != str(path):
            raise RefusedError("unknown-value", "recipe", value=str(path), known=list(known))
        path = known[path.name]
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return table
    except OSError as error:
        raise RefusedError("unreadable-file", path, reason=error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedError("invalid-toml", path, reason=str(error)) from error


def make_recipe(table: Mapping[str, Any], settings: Sequence[str] = ()) -> Recipe:
    """Make a recipe from the defaults of its network, a table and `name=value` settings.

    Raises:
        RefusedError: `missing-option` without a network or scale, `invalid-setting`, and what
            `with_fields` and Recipe raise.
    """
    named: dict[str, Any] = {k: table[k] for k in _NAMED if table.get(k)}
    for setting in settings:
        if setting.partition("=")[0].strip() in _NAMED:
            apply_setting(named, setting)
    if "model" not in named:
        raise RefusedError("missing-option", "--model", example="--model edsr")
    if "scales" not in named:
        raise RefusedError("missing-option", "--scale", example="-x 4")
    kinds = {field.name: field.type for field in msgspec.structs.fields(Recipe)}
    model, scales = (convert_value(named[k], kinds[k], k) for k in _NAMED)
    rest = {k: v for k, v in table.items() if k not in named}
    recipe = with_fields(default_recipe(model, scales), rest)
    return changed_recipe(recipe, {}, settings)


def stored_recipe(table: Mapping[str, Any]) -> Recipe:
    """Restore a saved recipe, independently of the current defaults of its network.

    Fields that did not exist when it was saved get the defaults of Recipe.

    Raises:
        RefusedError: As `with_fields` and Recipe.
    """
    rest = dict(table)
    model, scales = rest.pop("model", ""), tuple(rest.pop("scales", ()))
    return with_fields(with_fields(Recipe(model, scales), {"scales": scales}), rest)


def changed_recipe(
    recipe: Recipe, table: Mapping[str, Any], settings: Sequence[str] = ()
) -> Recipe:
    """Override fields of a recipe with a table and settings.

    Raises:
        RefusedError: As `make_recipe`.
    """
    merged = as_table(recipe) | dict(table)
    for setting in settings:
        apply_setting(merged, setting)
    if isinstance(losses := merged.get("losses"), dict):
        # A weight of 0 removes a loss.
        merged["losses"] = {name: weight for name, weight in losses.items() if weight != 0}
    return stored_recipe(merged)


def with_teacher(
    table: Mapping[str, Any], teacher: str, losses: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Add a teacher to a table, with the loss `teacher` unless the table has it.

    Args:
        table: Fields of a recipe.
        teacher: The model to learn from.
        losses: The losses of a run to resume.
    """
    weights = dict(table.get("losses") or losses or {"l1": 0.5})
    weights.setdefault("teacher", 0.5)
    return {**table, "teacher": teacher, "losses": weights}


def as_table(recipe: Recipe) -> dict[str, Any]:
    """Convert a recipe to a table of plain values, for TOML, JSON and headers."""
    table: dict[str, Any] = msgspec.to_builtins(recipe)
    return table


def as_toml(recipe: Recipe) -> str:
    """The recipe as a TOML file that `read_recipe` reads.

    The first line refers editors to the schema, which `sr train --print-schema` prints.
    """
    return f"#:schema {SCHEMA_FILE}\n{tomli_w.dumps(as_table(recipe))}"


def recipe_schema() -> str:
    """The JSON schema of a recipe, for editors."""
    schema = msgspec.json.schema(Recipe)
    # Missing fields come from the defaults of the network.
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(document, indent=2) + "\n"


def apply_setting(table: dict[str, Any], setting: str) -> None:
    """Set `a.b=value` in a table; a value that is not valid TOML is a string.

    Raises:
        RefusedError: `invalid-setting`.
    """
    name, sign, value = setting.partition("=")
    *outer, last = (part.strip() for part in name.split("."))
    if not sign or not all((*outer, last)):
        raise RefusedError("invalid-setting", setting)
    try:
        document = tomllib.loads(f"value = {value}")
        if len(document) > 1:
            # Further lines of the value would be other settings, which would be lost.
            raise RefusedError("invalid-setting", setting)
        parsed = document["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    for key in outer:
        inner = table.get(key)
        table[key] = dict(inner) if isinstance(inner, Mapping) else {}
        table = table[key]
    table[last] = parsed
