"""The data of a run: training pairs and validation images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from sr_cli.engine.device import free_memory
from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.evaluation.datasets import canonical_name, open_set
from sr_cli.training.events import Loading, Noted, OnEvent
from sr_cli.training.images import Images, Pair, find_sources, hold_back, read_images
from sr_cli.training.recipe import Recipe
from sr_cli.training.validation import Example, make_examples

_SMALLEST_EXAMPLE = 32
"""The smallest side of an image to validate on, in hr pixels."""


@dataclass(frozen=True)
class DataReader:
    """Reads images for a recipe.

    Attributes:
        recipe: Its scales and crops determine which images are large enough.
        memory: Bytes of pixels to keep in memory; None for a third of the free memory.
        folder: The folder for mapped files with the remaining pixels.
        on_event: Called with files that were read or skipped.
    """

    recipe: Recipe
    memory: int | None
    folder: Path
    on_event: OnEvent

    @property
    def pair_scale(self) -> int | None:
        """The scale of pairs of hr and lr; None if several scales are trained."""
        return self.recipe.scales[0] if len(self.recipe.scales) == 1 else None

    @property
    def smallest(self) -> int:
        """The smallest side of an image to train on, in hr pixels."""
        return self.recipe.lr_patch * max(self.recipe.scales)

    def read(self, places: Sequence[Path], *, smallest: int, mapped: str) -> Images:
        """Read all images of folders and files.

        Args:
            places: Folders and files.
            smallest: The smallest side of hr to use, in pixels.
            mapped: The name of the mapped file.

        Raises:
            SrError: `no-images`, and as `find_sources` and `read_images`.
        """
        if rank := int(os.environ.get("RANK", "0")):
            # Each process of torchrun has its own mapped file.
            mapped = f"{rank}-{mapped}"
        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        sources = find_sources(places, scale=self.pair_scale)
        if not sources:
            raise SrError("no-images", ", ".join(map(str, places)))
        return read_images(
            sources,
            scales=self.recipe.scales,
            smallest=smallest,
            memory=self.memory or free_memory(torch.device("cpu")) // (3 * processes),
            mapped=self.folder / mapped,
            on_file=lambda done, total: self.on_event(Loading(done, total)),
        )

    def training_pairs(self, places: Sequence[Path]) -> list[Pair]:
        """The images to train on.

        Raises:
            SrError: `no-training-images`, and as `read`.
        """
        found = self.read(places, smallest=self.smallest, mapped="pixels.bin")
        if not found.pairs:
            raise self._nothing_to_train_on(found)
        if found.unreadable:
            facts = {"count": len(found.unreadable), "first": found.unreadable[0]}
            self.on_event(Noted(Note("images-unreadable", facts)))
        if found.too_small:
            self.on_event(Noted(Note("images-too-small", {"count": found.too_small})))
        ready = sum(pair.lr is not None for pair in found.pairs)
        if ready and self.recipe.degradation != "bicubic":
            self.on_event(Noted(Note("given-lr-not-degraded", {"count": ready})))
        return found.pairs

    def _nothing_to_train_on(self, found: Images) -> SrError:
        hint = "smaller-patch" if found.too_small else "first" if found.unreadable else None
        return SrError(
            "no-training-images",
            hint=hint,
            unreadable=len(found.unreadable),
            too_small=found.too_small,
            smallest=self.smallest,
            first=found.unreadable[0] if found.unreadable else None,
        )

    def files(self, places: Sequence[Path]) -> set[Path]:
        """The hr files of some folders and files, absolute."""
        return {s.hr.resolve() for s in find_sources(places, scale=self.pair_scale)}


def load_data(
    reader: DataReader, data: Sequence[Path], val: str
) -> tuple[list[Pair], list[Example]]:
    """Training pairs and validation examples.

    Args:
        reader: How to read.
        data: Folders and files to train on.
        val: A share of them to hold back (`0.02`, `2%`), a folder, or names of test sets
            (`Set5,Set14`).

    Raises:
        RefusedError: `out-of-range` for a share, `validation-overlaps`.
        SrError: `too-few-images`, `no-validation-images`, and as `DataReader`.
    """
    share = parse_share(val)
    pairs = reader.training_pairs(data)
    if share is not None:
        train, held_back = hold_back(pairs, share)
        if not held_back:
            raise SrError("too-few-images", val)
    else:
        places = _validation_places(val)
        others = reader.read(places, smallest=_SMALLEST_EXAMPLE, mapped="val.bin")
        if reader.files(data) & reader.files(places):
            raise RefusedError("validation-overlaps", val)
        if not others.pairs:
            raise SrError("no-validation-images", val)
        train, held_back = pairs, others.pairs
    return train, make_examples(held_back, reader.recipe)


def _validation_places(val: str) -> tuple[Path, ...]:
    """The files of test sets by name (`Set5`, `Set5,Set14`), or a folder."""
    if not _names_sets(val):
        return (Path(val),)
    try:
        return tuple(image.hr for name in val.split(",") for image in open_set(name).images)
    except SrError as error:
        raise SrError("no-test-set", val, cause=error) from error


def _names_sets(val: str) -> bool:
    return all(canonical_name(name) for name in val.split(","))


def absolute_val(val: str) -> str:
    """A value of `--val` that is valid from any folder: a path becomes absolute."""
    holds_anywhere = parse_share(val) is not None or _names_sets(val)
    return val if holds_anywhere else str(Path(val).resolve())


def parse_share(val: str) -> float | None:
    """Parse `0.02` or `2%` as a share; None for a folder or test sets.

    Raises:
        RefusedError: `out-of-range` for a number that is not between 0 and 1.
    """
    try:
        share = float(val[:-1]) / 100 if val.endswith("%") else float(val)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise RefusedError("out-of-range", "--val", value=val, allowed="above 0, below 1")
    return share
