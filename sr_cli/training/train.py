"""`train`: `sr train` from Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sr_cli.errors import RefusedError
from sr_cli.training.events import OnEvent, ignore_event
from sr_cli.training.recipe import Recipe, differences
from sr_cli.training.recipe_files import (
    as_table,
    changed_recipe,
    make_recipe,
    read_recipe,
    stored_recipe,
    with_teacher,
)
from sr_cli.training.request import DEFAULT_VAL, TrainingRequest, TrainingResult
from sr_cli.training.run_folder import RunFolder, RunSpec

RecipeSource = Recipe | Mapping[str, Any] | str | Path

_MAY_CHANGE = ("steps", "patience")
"""Fields of a recipe that may change when a run is resumed."""


def train(
    recipe: RecipeSource | None,
    request: TrainingRequest,
    on_event: OnEvent | None = None,
) -> TrainingResult:
    """Train a network, writing the best averaged weights to the output and the rest to NAME.run/.

    Ctrl-C and SIGTERM stop the run after the current step and save its state. With `resume`, the
    run of this output continues exactly as if it had not been interrupted.

    Args:
        recipe: The settings: a Recipe, a table of its fields (at least `model` and `scales`; the
            others come from the network's paper), a TOML file, or the name of a shipped recipe.
            None resumes a run with its own recipe; a given recipe may then only change the
            length.
        request: Data, duration, output and device.
        on_event: Called with each event of `sr_cli.training.events`.

    Returns:
        The state of the run at its end, with the best figure.

    Raises:
        RefusedError: Before the first step, for a request that cannot work.
        SrError: If images or a state cannot be read, or the run diverges.

    Example:
        >>> from sr_cli.training.request import TrainingRequest
        >>> from sr_cli.training.train import train
        >>> recipe = {"model": "espcn", "scales": [2], "lr_patch": 12, "batch": 2}
        >>> request = TrainingRequest(data=["photos"], output="mine.safetensors", steps=5)
        >>> result = train(recipe, request)
        >>> result.done, result.steps, result.output.name
        (True, 5, 'mine.safetensors')
        >>> longer = TrainingRequest(output="mine.safetensors", steps=8, resume=True)
        >>> train(None, longer).steps
        8
    """
    output = _output(recipe, request)
    folder = RunFolder(output)
    spec = _resumed_run(recipe, request, folder) if request.resume else _new_run(recipe, request)
    if not (request.resume or request.overwrite):
        folder.check_unused()
    # Before torch is imported.
    for place in spec.data:
        if not os.path.exists(place):
            raise RefusedError("path-not-found", place)

    from sr_cli.training.run import run_training

    return run_training(spec, folder, request, on_event or ignore_event)


def build_recipe(
    table: Mapping[str, Any],
    settings: Sequence[str] = (),
    *,
    teacher: str | None = None,
    resume: Path | None = None,
) -> Recipe:
    """Build a recipe from the defaults of a network, or from that of a run, with overrides.

    Args:
        table: Fields of a recipe.
        settings: `name=value`, overriding the table.
        teacher: A model to learn from; its loss gets a weight unless the table has one.
        resume: The output of a run whose recipe is overridden; None for a network's defaults.

    Raises:
        RefusedError: As `make_recipe` and `RunFolder.read_run`.
    """
    if resume is None:
        return make_recipe(table if teacher is None else with_teacher(table, teacher), settings)
    stored = RunFolder(resume).read_run().recipe
    if teacher is not None:
        table = with_teacher(table, teacher, stored.losses)
    return changed_recipe(stored, table, settings)


def default_output(model: str, scales: Sequence[int]) -> Path:
    """The default name of the checkpoint, such as `edsr-x4.safetensors`."""
    name = f"{model}-x{scales[0]}" if len(scales) == 1 else model
    return Path(f"{name}.safetensors")


def _output(recipe: RecipeSource | None, request: TrainingRequest) -> Path:
    if request.output is not None:
        return Path(request.output)
    if recipe is None:
        raise RefusedError("missing-option", "--output", example="-o mine.safetensors")
    made = _new_recipe(recipe)
    return default_output(made.model, made.scales)


def _new_recipe(source: RecipeSource) -> Recipe:
    """A validated recipe, over the defaults of its network where it is a table."""
    if isinstance(source, Recipe):
        return stored_recipe(as_table(source))
    return make_recipe(source if isinstance(source, Mapping) else read_recipe(source))


def _new_run(recipe: RecipeSource | None, request: TrainingRequest) -> RunSpec:
    if recipe is None:
        raise RefusedError("missing-option", "--model", example="--model edsr")
    made = _new_recipe(recipe)
    if made.frozen_normalisation and request.init is None:
        raise RefusedError("no-normalisation-statistics", made.id)
    return RunSpec(
        _with_steps(made, request.steps),
        tuple(Path(p) for p in request.data),
        request.val or DEFAULT_VAL,
        request.seconds,
        request.epochs,
        request.init,
        None if request.trunk is None else Path(request.trunk),
        request.licence,
        request.threads,
    )


def _resumed_run(
    recipe: RecipeSource | None, request: TrainingRequest, folder: RunFolder
) -> RunSpec:
    """The run of a folder, with the changes of the request that are allowed.

    Raises:
        RefusedError: `recipe-differs` or `run-differs` for other changes, and as `read_run`.
    """
    stored = folder.read_run()
    if recipe is None:
        wanted = stored.recipe
    elif isinstance(recipe, Recipe):
        wanted = _new_recipe(recipe)
    else:
        table = recipe if isinstance(recipe, Mapping) else read_recipe(recipe)
        wanted = changed_recipe(stored.recipe, table)
    _check_same_recipe(stored.recipe, wanted, folder.path)
    for option, given, own in (
        ("--val", request.val, stored.val),
        ("--init", request.init, stored.init),
    ):
        if given is not None and not _is_same_place(given, own):
            raise RefusedError("run-differs", option, stored=own or "none", given=given)
    return RunSpec(
        _with_steps(wanted, request.steps),
        tuple(Path(p) for p in request.data) or stored.data,
        stored.val,
        request.seconds if request.is_limited else stored.seconds,
        request.epochs if request.is_limited else stored.epochs,
        stored.init,
        stored.trunk if request.trunk is None else Path(request.trunk),
        request.licence or stored.licence,
        request.threads or stored.threads,
    )


def _with_steps(recipe: Recipe, steps: int | None) -> Recipe:
    return recipe if steps is None else msgspec.structs.replace(recipe, steps=steps)


def _check_same_recipe(stored: Recipe, wanted: Recipe, folder: Path) -> None:
    """Raises RefusedError that names the fields in which a resumed run would differ."""
    changes = [
        f"{name}: {_as_set(getattr(stored, name))} -> {_as_set(getattr(wanted, name))}"
        for name in differences(stored, wanted)
        if name not in _MAY_CHANGE
    ]
    if changes:
        raise RefusedError("recipe-differs", folder, changes=changes)


def _as_set(value: Any) -> str:
    """A value as `--set` and TOML write it."""
    return str(msgspec.to_builtins(list(value) if isinstance(value, tuple) else value))


def _is_same_place(given: str, stored: str | None) -> bool:
    """Whether a path or name is the one of the run."""
    return stored is not None and (given == stored or str(Path(given).resolve()) == stored)
