"""`--check`: models against their shipped figures, bicubic against a reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import BicubicPipeline, build_pipeline
from sr_cli.errors import RefusedError
from sr_cli.evaluation.datasets import TestSet, canonical_name, open_set
from sr_cli.evaluation.measure import Protocol, measure_set
from sr_cli.evaluation.plan import DEFAULT_SETS
from sr_cli.registry.manifest import Entry, load_manifest
from sr_cli.registry.ref import FamilyRef, parse_model

TOLERANCE_DB = 0.01

GOLDEN = {
    ("Set5", 2): {"psnr_y": 33.673, "ssim": 0.9303},
    ("Set5", 3): {"psnr_y": 30.403, "ssim": 0.8689},
    ("Set5", 4): {"psnr_y": 28.429, "ssim": 0.8111},
    ("Set14", 2): {"psnr_y": 30.230, "ssim": 0.8691},
    ("Set14", 3): {"psnr_y": 27.537, "ssim": 0.7745},
    ("Set14", 4): {"psnr_y": 25.994, "ssim": 0.7029},
    ("BSD100", 2): {"psnr_y": 29.560, "ssim": 0.8434},
    ("BSD100", 3): {"psnr_y": 27.208, "ssim": 0.7394},
    ("BSD100", 4): {"psnr_y": 25.961, "ssim": 0.6681},
}
"""Bicubic by an independent implementation of the same protocol."""

_GOLDEN_TOLERANCE = {"psnr_y": 0.002, "ssim": 0.0005}
MEASURED_SETS = tuple(dict.fromkeys(name for name, _ in GOLDEN))
SCALES = tuple(sorted({scale for _, scale in GOLDEN}))


@dataclass(frozen=True)
class FigureCheck:
    """One comparison of a figure that ships with what was measured.

    Args:
        model: An id, or `bicubic`.
        scale: What images were upscaled by.
        test_set: On which set.
        metric: `psnr_y` or `ssim`.
        precision: `fp32`, compared with the shipped figure; or `auto`, as `sr upscale` computes,
            compared with fp32.
        expected: The figure that ships.
        found: The figure that was measured.
        holds: Whether they agree within the tolerance.
    """

    model: str
    scale: int
    test_set: str
    metric: str
    precision: str
    expected: float
    found: float
    holds: bool


@dataclass(frozen=True)
class CheckStarted:
    """A model is about to be measured on a set."""

    model: str
    scale: int
    test_set: str


OnCheck = Callable[[CheckStarted | FigureCheck], None]


def check_figures(
    sets: Sequence[str | Path] = DEFAULT_SETS,
    *,
    models: Sequence[str] | None = None,
    scale: int | None = None,
    data_dir: Path | None = None,
    engine: EngineOptions | None = None,
    on_event: OnCheck | None = None,
) -> list[FigureCheck]:
    """Measure bicubic, and shipped models in fp32 and at default precision, on the papers' sets.

    Args:
        sets: Of Set5, Set14 and BSD100.
        models: Networks or ids; None for all that ship. Bicubic is always measured.
        scale: 2, 3 or 4; None for all.
        data_dir: A local folder with the files of the sets.
        engine: Device, threads and tile; its precision is ignored.
        on_event: Called when a model starts, and with each check.

    Returns:
        The checks; `holds` is true for confirmed figures.

    Raises:
        RefusedError: `set-without-figures`, `model-without-figures`, `out-of-range`.
        SrError: If a set or weights cannot be downloaded or read.
    """
    for name in map(str, sets):
        if (canonical_name(name) or canonical_name(Path(name).name)) not in MEASURED_SETS:
            raise RefusedError("set-without-figures", name, known=list(MEASURED_SETS))
    entries = _shipped(models, scale)
    opened = [open_set(str(name), data_dir=data_dir) for name in sets]
    for test_set in opened:
        if not test_set.known:
            raise RefusedError("set-without-figures", test_set.name, known=list(MEASURED_SETS))

    def notify(event: CheckStarted | FigureCheck) -> None:
        if on_event is not None:
            on_event(event)

    checks = []
    for test_set in opened:
        for check in _checks(test_set, entries, scale, engine or EngineOptions(), notify):
            notify(check)
            checks.append(check)
    return checks


def _shipped(models: Sequence[str] | None, scale: int | None) -> list[Entry]:
    """The entries to check."""
    if scale is not None and scale not in SCALES:
        raise RefusedError("out-of-range", "scale", value=scale, allowed="2, 3 or 4 with --check")
    if not models:
        return [e for e in load_manifest().embedded if scale in (None, e.scale)]
    found = []
    for name in models:
        ref = parse_model(name)
        entries = [
            e
            for e in (ref.entries if isinstance(ref, FamilyRef) else ())
            if not e.url and scale in (None, e.scale)
        ]
        if not entries and name != "bicubic":
            scales = SCALES if scale is None else (scale,)
            raise RefusedError("model-without-figures", name, scales=scales)
        found += entries
    return found


def _checks(
    test_set: TestSet,
    entries: Sequence[Entry],
    scale: int | None,
    engine: EngineOptions,
    tell: Callable[[CheckStarted], None],
) -> Iterator[FigureCheck]:
    for each in SCALES if scale is None else (scale,):
        tell(CheckStarted("bicubic", each, test_set.name))
        yield from _check_bicubic(test_set, each)
    for entry in entries:
        tell(CheckStarted(entry.id, entry.scale, test_set.name))
        yield from _check_entry(entry, test_set, engine)


def _check_bicubic(test_set: TestSet, scale: int) -> Iterator[FigureCheck]:
    figures = measure_set(BicubicPipeline(), test_set, scale, Protocol())
    for metric, expected in GOLDEN[test_set.name, scale].items():
        found = figures.mean(metric) or 0.0
        holds = abs(found - expected) <= _GOLDEN_TOLERANCE[metric]
        yield FigureCheck("bicubic", scale, test_set.name, metric, "fp32", expected, found, holds)


def _check_entry(entry: Entry, test_set: TestSet, engine: EngineOptions) -> Iterator[FigureCheck]:
    expected = entry.figures.get(f"{test_set.name} PSNR-Y")
    if expected is None:
        return

    def check(precision: str, expected: float, found: float, holds: bool) -> FigureCheck:
        return FigureCheck(
            entry.id, entry.scale, test_set.name, "psnr_y", precision, expected, found, holds
        )

    exact, dtype = _psnr_y(entry, test_set, replace(engine, precision="fp32"))
    yield check("fp32", expected, exact, abs(exact - expected) <= TOLERANCE_DB)
    default, _ = _psnr_y(entry, test_set, replace(engine, precision="auto"), (exact, dtype))
    yield check("auto", exact, default, exact - default <= TOLERANCE_DB)


def _psnr_y(
    entry: Entry,
    test_set: TestSet,
    engine: EngineOptions,
    known: tuple[float, object] | None = None,
) -> tuple[float, object]:
    """The figure, and the dtype it was computed in; `known` is not measured a second time."""
    pipeline = build_pipeline([FamilyRef(entry.id, (entry,))], entry.scale, engine)
    dtype = pipeline.upscalers[0].dtype
    if known is not None and known[1] == dtype:
        return known
    figures = measure_set(pipeline, test_set, entry.scale, Protocol())
    return figures.mean("psnr_y") or 0.0, dtype
