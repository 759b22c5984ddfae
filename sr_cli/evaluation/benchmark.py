"""Models on test sets: which ones, one after the other, with what is kept of their pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import build_pipeline
from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.blind import Trial
from sr_cli.evaluation.datasets import TestImage, TestSet
from sr_cli.evaluation.measure import (
    ImageFigures,
    PeakMemory,
    Pixels,
    Protocol,
    count_parameters,
    load_sample,
    measure_set,
    multiply_adds,
)
from sr_cli.evaluation.report import Row
from sr_cli.evaluation.sheet import crop_sheet, find_region
from sr_cli.imaging.decode import read_size
from sr_cli.registry.manifest import load_manifest
from sr_cli.registry.ref import BicubicRef, FamilyRef, FileRef, ModelRef, parse_model
from sr_cli.system.files import atomic_write

_CROP = 96


@dataclass(frozen=True)
class Model:
    """What is measured; `family` names it in the published tables."""

    name: str
    family: str
    ref: ModelRef


def choose_models(names: Sequence[str] | None, scale: int) -> list[Model]:
    """The models named, or all that have weights for `scale`; bicubic is always among them.

    Raises RefusedError for unknown names and for models without this scale.
    """
    models = [Model("bicubic", "bicubic", BicubicRef())]
    if not names:
        for entry in load_manifest().weights:
            if entry.scale == scale and entry.is_here:
                models.append(Model(entry.id, entry.family, FamilyRef(entry.id, (entry,))))
        return models
    for name in names:
        ref = parse_model(name)
        if isinstance(ref, BicubicRef):
            continue
        if scale not in ref.scales():
            known = ", ".join(f"x{s}" for s in ref.scales())
            raise RefusedError(f"{name} has no x{scale}", f"it has {known}")
        entries = ref.entries if isinstance(ref, FamilyRef) else ()
        own = next((e for e in entries if e.scale == scale), None)
        family = own.family if own else ""
        if own is not None and not own.is_here:
            raise RefusedError(f"{own.id} is not downloaded yet", f"sr download-weights {own.id}")
        models.append(Model(own.id if own else ref.name, family, ref))
    once = list({(m.name, _file(m)): m for m in models}.values())
    names_of = Counter(m.name for m in once)
    # Files of one name in two folders are told apart by their paths.
    return [replace(m, name=_file(m)) if names_of[m.name] > 1 and _file(m) else m for m in once]


def _file(model: Model) -> str:
    return str(model.ref.path) if isinstance(model.ref, FileRef) else ""


def check_names(sets: Sequence[TestSet]) -> None:
    """Raises RefusedError for two sets of one name, of which a table would show one."""
    name, count = Counter(s.name for s in sets).most_common(1)[0]
    if count > 1:
        raise RefusedError(
            f"{count} sets are called '{name}'", "rename a folder, or measure them one by one"
        )


def check_free(folder: Path, sets: Sequence[TestSet], models: Sequence[Model]) -> None:
    """Raises RefusedError where a picture would be written over a file that exists."""
    for test_set in sets:
        for image in test_set.images:
            for model in models:
                path = _saved_file(folder, test_set, image, model)
                if path.exists():
                    raise RefusedError(f"{path}: exists already", "-y overwrites")


def _saved_file(folder: Path, test_set: TestSet, image: TestImage, model: Model) -> Path:
    name = re.sub(r"[/\\:]+", "_", model.name)
    return folder / test_set.name / f"{image.name}_{name}.png"


def check_pin(sets: Sequence[TestSet], pin: tuple[str, int, int, int]) -> None:
    """Raises RefusedError unless the place (image, left, top, side) is there in a set."""
    name, left, top, side = pin
    images = [i for s in sets for i in s.images]
    image = next((i for i in images if i.name == name), None)
    if image is None:
        some = ", ".join(i.name for i in images[:20])
        raise RefusedError(f"--region: no image '{name}'", f"there are: {some}")
    size = read_size(image.hr)
    if size is not None and (left + side > size[0] or top + side > size[1]):
        raise RefusedError(
            f"--region: {name} has {size[0]}x{size[1]} pixels, the region lies outside"
        )


class Benchmark:
    """Sets at one scale under one protocol.

    save: a folder for the enlarged pictures. keep: remember them for `write_sheet`.
    """

    def __init__(
        self,
        sets: Sequence[TestSet],
        scale: int,
        protocol: Protocol,
        options: EngineOptions,
        *,
        save: Path | None = None,
        keep: bool = False,
    ) -> None:
        self.sets = sets
        self.scale = scale
        self.protocol = protocol
        self.options = options
        self.save = save
        self._kept: dict[TestImage, list[tuple[str, Pixels]]] = {}
        self._keep = keep

    def count(self) -> int:
        """Images in all sets."""
        return sum(len(s.images) for s in self.sets)

    def measure(
        self, models: Sequence[Model], on_image: Callable[[str], None] | None = None
    ) -> list[Row]:
        """A row for each model. A model that cannot be loaded has its error in its row.

        Raises RefusedError for what refuses all of them, as a device that is not there.
        """
        # Bicubic alone on the CPU needs no torch.
        if self.options.device not in ("auto", "cpu") or any(
            not isinstance(m.ref, BicubicRef) for m in models
        ):
            from sr_cli.engine.device import pick_device, pick_precision

            pick_precision(pick_device(self.options.device), self.options.precision)
        rows = []
        for model in models:
            row = Row(model.name, model.family, self.scale, degradation=self.protocol.degradation)
            rows.append(row)
            try:
                self._measure(model, row, on_image)
            except SrError as error:
                row.error = error.message
        return rows

    def _measure(self, model: Model, row: Row, on_image: Callable[[str], None] | None) -> None:
        enlarger = build_pipeline([model.ref], self.scale, self.options)
        for upscaler in enlarger.upscalers:
            from sr_cli.engine.device import NAMES

            row.parameters += count_parameters(upscaler.models)
            # In a chain the first networks see the lr's pixels.
            share = (upscaler.scale / self.scale) ** 2
            row.multiply_adds += multiply_adds(upscaler.models) * share
            row.device = str(upscaler.device)
            row.precision = NAMES[upscaler.dtype]
        memory = PeakMemory(row.device)
        for test_set in self.sets:

            def done(image: TestImage, _: ImageFigures, sr: Pixels, s: TestSet = test_set) -> None:
                if self.save is not None:
                    _save(sr, _saved_file(self.save, s, image, model))
                if self._keep:
                    self._kept.setdefault(image, []).append((model.name, sr))
                if on_image is not None:
                    on_image(model.name)

            if test_set.known:
                row.known.add(test_set.name)
            row.sets[test_set.name] = measure_set(
                enlarger, test_set, self.scale, self.protocol, done
            )
        row.peak_memory = memory.bytes()

    def trials(self, names: Sequence[str]) -> list[Trial]:
        """What was kept of the models named, for a blind comparison."""
        degradation = self.protocol.degradation
        return [
            Trial(
                image.name,
                degradation,
                {n: p for n, p in named if n in names},
                load_sample(image, self.scale, degradation).hr,
            )
            for image, named in self._kept.items()
        ]

    def write_sheet(
        self, path: Path, region: str, pin: tuple[str, int, int, int] | None = None
    ) -> None:
        """Crops of one image through every model: where `region` is strongest over all images,
        or at the place that `pin` (image, left, top, side) gives.

        Raises SrError when there is no such image or place.
        """
        if not self._kept:
            raise SrError("nothing was measured, so there is nothing to compare")
        image, place, side = self._place(region, pin)
        hr = load_sample(image, self.scale, self.protocol.degradation).hr
        _save(np.asarray(crop_sheet(self._kept[image], hr, place, side)), path)

    def _place(
        self, region: str, pin: tuple[str, int, int, int] | None
    ) -> tuple[TestImage, tuple[int, int], int]:
        if pin is not None:
            name, left, top, side = pin
            image = next((i for i in self._kept if i.name == name), None)
            if image is None:
                raise SrError(f"no image '{name}'", ", ".join(i.name for i in self._kept))
            height, width = self._kept[image][0][1].shape[:2]
            if top + side > height or left + side > width:
                raise SrError(f"{name} has {width}x{height} pixels: the region lies outside")
            return image, (top, left), side
        strongest = -1.0
        found = None
        for image, named in self._kept.items():
            hr = load_sample(image, self.scale, self.protocol.degradation).hr
            pictures = [p for _, p in named]
            side = min(_CROP, *hr.shape[:2])
            top, left = find_region(pictures, hr, side, region)
            cut = np.stack([p[top : top + side, left : left + side] for p in pictures])
            strength = float(cut.astype(np.float64).std(0).mean())
            if strength > strongest:
                strongest, found = strength, (image, (top, left), side)
        assert found is not None
        return found


def _save(picture: Pixels, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SrError(f"{path.parent}: cannot be written ({error.strerror or error})") from error
    with atomic_write(path) as file:
        Image.fromarray(picture).save(file, "PNG")
