"""What to train on and for how long, what is reported, and the pictures themselves."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from sr_cli.engine.device import free_memory
from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.datasets import known_name, open_set
from sr_cli.training.crops import Crops
from sr_cli.training.pictures import Pair, Pictures, find_sources, read_pictures, split
from sr_cli.training.recipe import Recipe
from sr_cli.training.run import Progress
from sr_cli.training.run_folder import RunFolder
from sr_cli.training.sheet import preview, save_png
from sr_cli.training.validation import Example, make_examples


@dataclass(frozen=True)
class Plan:
    """What to train on and how long; what decides the result is in the recipe.

    val: a share of the pictures to hold back, a folder, or names of benchmark sets.
    seconds: a limit over all legs;
    epochs: how often each lr pixel is seen; without either, the recipe's steps.
    memory: bytes of pixels kept in memory; more go to a mapped file.
    save_seconds: how often the state is written.
    """

    recipe: Recipe
    output: Path
    data: tuple[Path, ...]
    val: str = "0.02"
    seconds: float | None = None
    epochs: float | None = None
    init: str | None = None
    trunk: Path | None = None
    device: str = "auto"
    threads: int | None = None
    memory: int | None = None
    save_seconds: float = 120.0
    resume: bool = False
    overwrite: bool = False
    tensorboard: bool = False
    licence: str = ""


@dataclass
class Report:
    """What the watcher is told: `event` is `loading`, `note`, `start`, `step` or `end`."""

    event: str
    progress: Progress = field(default_factory=Progress)
    text: str = ""
    done: float = 0.0
    steps: int | None = None


OnReport = Callable[[Report], None]


def load_data(plan: Plan, folder: RunFolder, tell: OnReport) -> tuple[list[Pair], list[Example]]:
    """Training pairs and validation examples. Raises SrError when there is too little."""
    recipe, share = plan.recipe, _share(plan.val)
    found = _read(plan, plan.data, folder, tell)
    if not found.pairs:
        raise _nothing_to_train_on(found, recipe)
    if found.unreadable:
        count, first = len(found.unreadable), found.unreadable[0]
        tell(Report("note", text=f"{count} pictures unreadable, left out; the first: {first}"))
    if found.too_small:
        tell(Report("note", text=f"{found.too_small} pictures too small, left out"))
    ready = sum(pair.lr is not None for pair in found.pairs)
    if ready and recipe.degradation != "bicubic":
        tell(Report("note", text=f"{ready} pictures come with their lr: not degraded again"))
    if share is not None:
        train, held_back = split(found.pairs, share)
        if not held_back:
            raise SrError("one picture is not enough: one is held back for validation", "--val DIR")
    else:
        places = _validation_places(plan.val)
        others = _read(plan, places, folder, tell, smallest=32, mapped="val.bin")
        if _files(plan, plan.data) & _files(plan, places):
            raise RefusedError(f"{plan.val}: pictures to validate on are also trained on")
        if not others.pairs:
            raise SrError(f"{plan.val}: no picture to validate on")
        train, held_back = found.pairs, others.pairs
    return train, make_examples(held_back, recipe)


def _nothing_to_train_on(found: Pictures, recipe: Recipe) -> SrError:
    hint = f"the first: {found.unreadable[0]}" if found.unreadable else None
    if found.too_small:
        hint = "a smaller --lr-patch takes smaller pictures"
    return SrError(
        f"no picture to train on: {len(found.unreadable)} unreadable, "
        f"{found.too_small} smaller than {recipe.lr_patch * max(recipe.scales)} pixels",
        hint,
    )


def _read(
    plan: Plan,
    places: tuple[Path, ...],
    folder: RunFolder,
    tell: OnReport,
    *,
    smallest: int | None = None,
    mapped: str = "pixels.bin",
) -> Pictures:
    recipe = plan.recipe
    if rank := int(os.environ.get("RANK", "0")):
        # Each of torchrun's processes maps a file of its own.
        mapped = f"{rank}-{mapped}"
    sharers = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    sources = find_sources(places, scale=_pair_scale(plan))
    if not sources:
        raise SrError(f"{', '.join(map(str, places))}: no pictures there")

    def count(done: int, total: int) -> None:
        tell(Report("loading", done=done / total, text=f"{done} of {total} pictures"))

    return read_pictures(
        sources,
        scales=recipe.scales,
        smallest=smallest or recipe.lr_patch * max(recipe.scales),
        memory=plan.memory or free_memory(torch.device("cpu")) // (3 * sharers),
        mapped=folder.path / mapped,
        on_file=count,
    )


def _files(plan: Plan, places: tuple[Path, ...]) -> set[Path]:
    return {s.hr.resolve() for s in find_sources(places, scale=_pair_scale(plan))}


def _validation_places(val: str) -> tuple[Path, ...]:
    """The files of benchmark sets by name (`Set5`, `Set5,Set14`), or a folder."""
    if _names_sets(val):
        try:
            return tuple(image.hr for name in val.split(",") for image in open_set(name).images)
        except SrError as error:
            raise SrError(error.message, "--val FOLDER takes pictures of your own") from error
    return (Path(val),)


def _names_sets(val: str) -> bool:
    return all(known_name(name) for name in val.split(","))


def lasting_val(val: str) -> str:
    """`--val` for a later leg, started elsewhere: a folder by its whole path."""
    by_itself = _share(val) is not None or _names_sets(val)
    return val if by_itself else str(Path(val).resolve())


def _pair_scale(plan: Plan) -> int | None:
    """The scale that pairs of hr and lr serve; None where several are trained."""
    return plan.recipe.scales[0] if len(plan.recipe.scales) == 1 else None


def _share(val: str) -> float | None:
    """`0.02` or `2%`; None for the name of a folder."""
    try:
        share = float(val[:-1]) / 100 if val.endswith("%") else float(val)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise RefusedError(f"--val {val}: a share between 0 and 1 is needed")
    return share


def draw_preview(
    recipe: Recipe, data: tuple[Path, ...], output: Path, count: int, memory: int | None = None
) -> None:
    """A sheet of the crops that the first steps will see. Raises SrError as `load_data` does."""
    plan = Plan(recipe, output, data, memory=memory)
    try:
        # A run of this name may be going on: its folder is not touched.
        with tempfile.TemporaryDirectory(
            prefix=".sr-", dir=output.parent, ignore_cleanup_errors=True
        ) as scratch:
            found = _read(plan, data, RunFolder(Path(scratch) / output.name), lambda _: None)
            if not found.pairs:
                raise _nothing_to_train_on(found, recipe)
            crops = Crops(found.pairs, recipe, channels=3)
            save_png(preview(crops, count, recipe.scales[0]), output)
    except OSError as error:
        raise SrError(f"{output}: cannot be written ({error.strerror or error})") from error
