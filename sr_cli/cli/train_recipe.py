"""From options to a recipe: a new one, or that of the run to resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_cli.cli.upscale import parse_scale
from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.training.recipe import Recipe


def whole_scales(texts: list[str]) -> list[int]:
    """`-x 4`, `-x 2 -x 3`, `-x 2,3,4` as whole numbers."""
    found = []
    for text in ",".join(texts).split(","):
        factor = parse_scale(text)
        if factor != int(factor):
            raise RefusedError(f"scale '{text}': networks are trained for whole factors")
        found.append(int(factor))
    return sorted(set(found))


def recipe_from(file: Path | None, given: dict[str, Any], settings: list[str]) -> Recipe:
    """The recipe of a new run. Raises RefusedError for what does not fit together."""
    from sr_cli.training.recipe_files import make_recipe

    return make_recipe(_table(file, given), settings)


def _table(
    file: Path | None, given: dict[str, Any], before: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """A recipe's file and what the command line says on top.

    `before`: the losses of the run to resume, which a teacher named again does not change.
    """
    from sr_cli.training.recipe_files import read_recipe

    table = read_recipe(file) if file else {}
    if "teacher" in given:
        losses = dict(table.get("losses") or before or {})
        table["losses"] = losses or {"l1": 0.5}
        table["losses"].setdefault("teacher", 0.5)
    return table | given


def same_place(given: str, stored: str | None) -> bool:
    """Whether a path or name given again is the one of the run."""
    return stored is not None and (given == stored or str(Path(given).resolve()) == stored)


def stored_run(
    output: Path | None,
    model: str | None,
    scale: list[str] | None,
    file: Path | None,
    given: dict[str, Any],
    settings: list[str],
) -> tuple[dict[str, Any], Recipe]:
    """The plan of the run to resume, and its recipe with what was given on top, to be compared."""
    from dataclasses import asdict

    from sr_cli.training.recipe_files import changed_recipe
    from sr_cli.training.run_folder import RunFolder

    if output is None:
        if not (model and scale):
            raise RefusedError("which run is to be resumed?", "-o NAME.safetensors")
        scales = whole_scales(scale)
        output = Path(
            f"{model}-x{scales[0]}.safetensors" if len(scales) == 1 else f"{model}.safetensors"
        )
    document, stored = RunFolder(output).read_plan()
    return document, changed_recipe(asdict(stored), _table(file, given, stored.losses), settings)
