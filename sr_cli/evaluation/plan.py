"""Planning a benchmark: its options, and names resolved to sets and models."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import check_chains, check_runtime
from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.datasets import TestImage, TestSet, open_pairs, open_set
from sr_cli.evaluation.measure import Distance
from sr_cli.evaluation.metrics import LUMAS, Luma
from sr_cli.imaging.degradation import DEGRADATIONS
from sr_cli.registry.downloads import fetch_download
from sr_cli.registry.manifest import load_manifest
from sr_cli.registry.ref import AddressRef, BicubicRef, FamilyRef, FileRef, ModelRef, parse_model
from sr_cli.registry.strength import has_strength, with_strength
from sr_cli.system.types import check_types

DEFAULT_SETS = ("Set5", "Set14")


@dataclass(frozen=True)
class Pairs:
    """A folder of originals and a folder of their lr images, paired by name.

    Raises:
        RefusedError: `invalid-request`.
    """

    hr: Path
    lr: Path

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class BenchmarkOptions:
    """How models are measured, and what is kept.

    Args:
        luma: `unrounded`, or `rounded` as in the oldest papers.
        rgb: Also measure PSNR on RGB.
        lpips: Also measure LPIPS, with the network `alex` or `vgg`.
        lpips_weights: A file with LPIPS's weights; None downloads them once.
        dists: Also measure DISTS.
        trunk: A file with VGG16's weights, for DISTS; None downloads them once.
        niqe: Also measure NIQE, which needs no original.
        strength: How far models with two sets of weights restore, 0 to 1; None for 1.
        degradations: How lr is made: `bicubic` as in the papers, `noise`, `photo`. Each model is
            measured under each.
        engine: How to compute.
        data_dir: A local folder with the files of the test sets.
        save: A folder for the upscaled images.
        overwrite: Overwrite existing images.
        keep_images: Whether the report keeps the upscaled images, for a sheet or a blind page.
    """

    luma: Luma = "unrounded"
    rgb: bool = False
    lpips: str | None = None
    lpips_weights: Path | None = None
    dists: bool = False
    trunk: Path | None = None
    niqe: bool = False
    strength: float | None = None
    degradations: tuple[str, ...] = ("bicubic",)
    engine: EngineOptions = field(default_factory=EngineOptions)
    data_dir: Path | None = None
    save: Path | None = None
    overwrite: bool = False
    keep_images: bool = False


@dataclass(frozen=True)
class FetchProgress:
    """Downloaded files of a test set, or bytes of a checkpoint: `done` of `total`, if known."""

    name: str
    done: int
    total: int | None


@dataclass(frozen=True)
class ImageProgress:
    """A model was measured on an image, or could not be: `done` of `total` in the benchmark."""

    model: str
    test_set: str
    image: str
    done: int
    total: int
    error: SrError | None = None


Event = FetchProgress | ImageProgress
OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class BenchmarkModel:
    """A model to measure.

    Attributes:
        name: An id, `bicubic`, or the name of a file.
        family: Its name in the published tables; "" if it has none.
        ref: The model.
    """

    name: str
    family: str
    ref: ModelRef

    @property
    def file(self) -> str:
        """The path of a checkpoint file; empty for others."""
        return str(self.ref.path) if isinstance(self.ref, FileRef) else ""


@dataclass(frozen=True)
class BenchmarkPlan:
    """A planned benchmark: names are resolved and test sets downloaded."""

    sets: tuple[TestSet, ...]
    models: tuple[BenchmarkModel, ...]
    scale: int
    options: BenchmarkOptions
    distances: Mapping[str, Distance] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The number of images over all sets, models and degradations."""
        images = sum(len(s.images) for s in self.sets)
        return images * len(self.models) * len(self.options.degradations)


def plan_benchmark(
    sets: Sequence[str | Path | Pairs],
    *,
    models: str | Path | Sequence[str | Path] | None,
    scale: int,
    options: BenchmarkOptions,
    on_event: OnEvent | None = None,
) -> BenchmarkPlan:
    """Resolve models and download test sets. Arguments and errors as for `benchmark`."""
    _check_options(options)
    named = [models] if isinstance(models, str | Path) else models
    resolved = resolve_models(named, scale, on_event, strength=options.strength)
    check_runtime((model.ref for model in resolved), options.engine.device)
    distances = _distances(options)

    def on_file(name: str, done: int, total: int) -> None:
        if on_event is not None:
            on_event(FetchProgress(name, done, total))

    opened = tuple(
        open_pairs(s.hr, s.lr, scale)
        if isinstance(s, Pairs)
        else open_set(str(s), data_dir=options.data_dir, on_file=on_file)
        for s in sets
    )
    _check_set_names(opened)
    plan = BenchmarkPlan(opened, tuple(resolved), scale, options, distances)
    if options.save is not None and not options.overwrite:
        _check_free(plan, options.save)
    return plan


def _check_options(options: BenchmarkOptions) -> None:
    check_types(options)
    options.engine.check()
    if options.luma not in LUMAS:
        raise RefusedError("unknown-value", "luma", value=options.luma, known=list(LUMAS))
    for name in options.degradations:
        if name not in DEGRADATIONS:
            raise RefusedError("unknown-value", "degradation", value=name, known=list(DEGRADATIONS))
    if options.trunk is not None and not options.dists:
        raise RefusedError("option-requires", "trunk", other="dists")
    if options.save is not None and os.path.exists(options.save) and not options.save.is_dir():
        raise RefusedError("output-not-a-folder", options.save)
    if options.save is not None and len(options.degradations) > 1:
        raise RefusedError("conflicting-options", "save", other="several degradations")


def _distances(options: BenchmarkOptions) -> dict[str, Distance]:
    found: dict[str, Distance] = {}
    if options.lpips is not None or options.lpips_weights is not None:
        from sr_cli.evaluation.lpips import LPIPS

        found["lpips"] = LPIPS(options.lpips or "alex", options.lpips_weights).distance
    if options.dists:
        from sr_cli.evaluation.dists import DISTS

        found["dists"] = DISTS(options.trunk).distance
    return found


def resolve_models(
    names: Sequence[str | Path] | None,
    scale: int,
    on_event: OnEvent | None = None,
    *,
    strength: float | None = None,
) -> list[BenchmarkModel]:
    """The named models, or all with weights for `scale`; bicubic is always included.

    A strength is that of the models which have one, and at least one must have it.

    Checkpoints at addresses are downloaded.

    Raises:
        RefusedError: `scale-not-available`, `not-downloaded`, `chain-order`, `option-requires`,
            and as `parse_model` and `with_strength`.
    """
    bicubic = BenchmarkModel("bicubic", "bicubic", BicubicRef())
    if strength is not None and not names:
        raise RefusedError("option-requires", "strength", other="a model")
    if not names:
        entries = [e for e in load_manifest().weights if e.scale == scale and e.is_available]
        return [bicubic, *(BenchmarkModel(e.id, e.family, FamilyRef(e.id, (e,))) for e in entries)]
    refs = [parse_model(name) for name in names]
    if strength is not None:
        able = any(has_strength(ref) for ref in refs)
        refs = [with_strength(r, strength) if has_strength(r) or not able else r for r in refs]
    _fetch_addresses(refs, on_event)
    found = [bicubic, *(_benchmark_model(ref, scale) for ref in refs)]
    once = list({(m.name, m.file): m for m in found}.values())
    names_of = Counter(m.name for m in once)
    # Files of the same name in different folders are shown with their paths.
    return [replace(m, name=m.file) if names_of[m.name] > 1 and m.file else m for m in once]


def _fetch_addresses(refs: Sequence[ModelRef], on_event: OnEvent | None) -> None:
    parts = [part for ref in refs for part in ref.steps if isinstance(part, AddressRef)]
    for download in (d for part in parts for d in part.missing(1)):

        def on_bytes(done: int, total: int | None, name: str = download.name) -> None:
            if on_event is not None:
                on_event(FetchProgress(name, done, total))

        fetch_download(download, on_bytes)


def _benchmark_model(ref: ModelRef, scale: int) -> BenchmarkModel:
    if isinstance(ref, BicubicRef):
        return BenchmarkModel("bicubic", "bicubic", ref)
    check_chains([ref])
    if scale not in ref.scales():
        raise RefusedError("scale-not-available", ref.name, scale=scale, available=ref.scales())
    if not isinstance(ref, FamilyRef):
        return BenchmarkModel(ref.name, "", ref)
    entry = next(e for e in ref.entries if e.scale == scale)
    if not entry.is_available:
        raise RefusedError("not-downloaded", entry.id)
    return BenchmarkModel(entry.id, entry.family, ref)


def _check_set_names(sets: Sequence[TestSet]) -> None:
    """Check that names are unique: a table would show only one of two equal ones."""
    for name, count in Counter(s.name for s in sets).items():
        if count > 1:
            raise RefusedError("duplicate-set", name, count=count)


def _check_free(plan: BenchmarkPlan, folder: Path) -> None:
    for test_set in plan.sets:
        for image in test_set.images:
            for model in plan.models:
                path = saved_file(folder, test_set, image, model)
                if path.exists():
                    raise RefusedError("already-exists", path)


def saved_file(folder: Path, test_set: TestSet, image: TestImage, model: BenchmarkModel) -> Path:
    """Where the upscaled image of a model is saved."""
    name = re.sub(r"[/\\:]+", "_", model.name)
    return folder / test_set.name / f"{image.name}_{name}.png"
