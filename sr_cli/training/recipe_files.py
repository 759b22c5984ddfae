"""Recipes from and to TOML, and single fields from the command line, each with its type checked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from sr_cli.errors import RefusedError
from sr_cli.training.papers import default_recipe
from sr_cli.training.recipe import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_PACKAGE = Path(__file__).resolve().parent.parent


def shipped_recipes() -> dict[str, Path]:
    """The recipes of the shipped weights by name: in the package, or beside it in a checkout."""
    folders = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
    return {f.stem: f for folder in folders for f in sorted(folder.glob("*.toml"))}


def read_recipe(path: Path) -> dict[str, Any]:
    """The table of a TOML file, or of a shipped recipe by name.

    Raises RefusedError when it is missing or not TOML.
    """
    if not path.suffix and not path.exists():
        known = shipped_recipes()
        if path.name not in known or path.name != str(path):
            raise RefusedError(f"no recipe '{path}'", f"a TOML file, or {', '.join(known)}")
        path = known[path.name]
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return table
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: not TOML ({error})") from error


def make_recipe(table: Mapping[str, Any], settings: Sequence[str] = ()) -> Recipe:
    """A recipe from a table and `name=value` settings, over the network's own defaults.

    Raises RefusedError for unknown and ill-typed fields, naming the known ones.
    """
    named: dict[str, Any] = {k: table[k] for k in ("model", "scales") if table.get(k)}
    for text in settings:
        if text.partition("=")[0].strip() in ("model", "scales"):
            _set(named, text)
    if "model" not in named:
        raise RefusedError("which network?", "--model edsr, or a recipe that names it")
    if "scales" not in named:
        raise RefusedError("for which scale?", "-x 4")
    scales = _typed("scales", named["scales"], tuple[int, ...])
    start = default_recipe(_typed("model", named["model"], str), scales)
    rest = {k: v for k, v in table.items() if k not in named}
    return changed_recipe(asdict(_filled(start, rest, "")), {}, settings)


def recipe_of(table: Mapping[str, Any]) -> Recipe:
    """The recipe that was saved as `table`, with nothing from today's defaults of its network.

    Fields that did not exist then are as in `Recipe`.
    """
    rest = dict(table)
    plain = Recipe(str(rest.pop("model", "")), tuple(rest.pop("scales", ())))
    recipe: Recipe = _filled(plain, rest, "")
    return recipe


def changed_recipe(
    stored: Mapping[str, Any], table: Mapping[str, Any], settings: Sequence[str]
) -> Recipe:
    """A saved recipe with a table and settings laid over it. Raises as `make_recipe` does."""
    merged = dict(stored) | dict(table)
    for text in settings:
        _set(merged, text)
    losses = merged.get("losses")
    if isinstance(losses, dict):
        # A weight of 0 takes away what the network's own recipe has.
        merged["losses"] = {name: weight for name, weight in losses.items() if weight != 0}
    return recipe_of(merged)


def as_toml(recipe: Recipe) -> str:
    """The recipe as a TOML file that `read_recipe` reads."""
    lines: list[str] = []
    _write_table(asdict(recipe), "", lines)
    return "\n".join(lines).strip() + "\n"


def _write_table(table: Mapping[str, Any], name: str, lines: list[str]) -> None:
    if name:
        lines += ["", f"[{name}]"]
    tables = {k: v for k, v in table.items() if isinstance(v, dict)}
    lines += [f"{k} = {_toml(v)}" for k, v in table.items() if k not in tables]
    for key, inner in tables.items():
        _write_table(inner, f"{name}.{key}" if name else key, lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)


def _set(table: dict[str, Any], text: str) -> None:
    """Put `a.b=value` into a table; the value is TOML, or else a plain word."""
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise RefusedError(f"--set {text}: not NAME=VALUE", "for instance learning_rate=1e-4")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    *outer, last = name.strip().split(".")
    for key in outer:
        inner = table.get(key)
        table[key] = dict(inner) if isinstance(inner, Mapping) else {}
        table = table[key]
    table[last] = parsed


def _filled(instance: Any, table: Mapping[str, Any], prefix: str) -> Any:
    """A copy of a dataclass with the fields of `table`, checked against its annotations."""
    hints = get_type_hints(type(instance))
    names = [f.name for f in fields(instance)]
    values: dict[str, Any] = {}
    for name, value in table.items():
        if name not in names:
            raise RefusedError(
                f"a recipe has no field '{prefix}{name}'", f"its fields: {', '.join(names)}"
            )
        own = getattr(instance, name)
        if is_dataclass(own):
            if not isinstance(value, Mapping):
                raise RefusedError(f"{prefix}{name}: a table is needed")
            values[name] = _filled(own, value, f"{prefix}{name}.")
        else:
            values[name] = _typed(f"{prefix}{name}", value, hints[name])
    current = {f.name: getattr(instance, f.name) for f in fields(instance)}
    return type(instance)(**(current | values))


def _typed(name: str, value: Any, hint: Any) -> Any:
    """The value as the annotation has it. Raises RefusedError for another type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType or hint is Any:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if origin is tuple:
        if isinstance(value, list | tuple) and (inner[-1] is ... or len(value) == len(inner)):
            return tuple(_typed(name, v, inner[0]) for v in value)
    elif origin is dict:
        if isinstance(value, Mapping):
            return {str(k): _typed(f"{name}.{k}", v, inner[1]) for k, v in value.items()}
    elif type(value) is hint:
        return value
    wanted = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    words = wanted.get(hint, f"{len(inner)} numbers" if origin is tuple else "a table")
    if origin is tuple and inner[-1] is ...:
        words = "a list of numbers"
    raise RefusedError(f"{name} = {value!r}: {words} is needed")
