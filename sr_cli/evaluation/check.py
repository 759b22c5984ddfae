"""Whether the shipped figures hold: every model against its header, bicubic against the papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import BicubicPipeline, build_pipeline
from sr_cli.errors import RefusedError
from sr_cli.evaluation.datasets import TestSet, open_set
from sr_cli.evaluation.measure import Protocol, SetFigures, measure_set
from sr_cli.registry.manifest import Entry
from sr_cli.registry.ref import FamilyRef

TOLERANCE_DB = 0.01

GOLDEN = {
    ("Set5", 2): (33.673, 0.9303),
    ("Set5", 3): (30.403, 0.8689),
    ("Set5", 4): (28.429, 0.8111),
    ("Set14", 2): (30.230, 0.8691),
    ("Set14", 3): (27.537, 0.7745),
    ("Set14", 4): (25.994, 0.7029),
    ("BSD100", 2): (29.560, 0.8434),
    ("BSD100", 3): (27.208, 0.7394),
    ("BSD100", 4): (25.961, 0.6681),
}
"""PSNR-Y and SSIM of bicubic by an independent implementation of the same protocol."""

MEASURED_SETS = tuple(dict.fromkeys(name for name, _ in GOLDEN))
_GOLDEN_DB, _GOLDEN_SSIM = 0.002, 0.0005


@dataclass(frozen=True)
class Finding:
    """One comparison. `good` when `found` is within the tolerance of `expected`."""

    what: str
    expected: float
    found: float
    good: bool


def check(
    entries: Sequence[Entry],
    set_names: Sequence[str],
    scales: Sequence[int],
    *,
    data_dir: Path | None,
    options: EngineOptions,
    on_start: Callable[[str], None],
) -> Iterator[Finding]:
    """Measure bicubic at `scales`, and every entry in fp32 and at default precision.

    Raises SrError when a set or weights cannot be had, RefusedError for other pictures than the
    papers'.
    """
    test_sets = [open_set(name, data_dir=data_dir) for name in set_names]
    for test_set in test_sets:
        if not test_set.known:
            raise RefusedError(f"no shipped figures for the pictures in {test_set.name}")
    for test_set in test_sets:
        for scale in scales:
            on_start(f"bicubic x{scale} on {test_set.name}")
            golden = GOLDEN.get((test_set.name, scale))
            if golden is not None:
                found = measure_set(BicubicPipeline(), test_set, scale, Protocol())
                yield from _against_golden(f"bicubic x{scale} {test_set.name}", found, golden)
        for entry in entries:
            on_start(f"{entry.id} on {test_set.name}")
            yield from _check_entry(entry, test_set, options)


def _against_golden(what: str, found: SetFigures, golden: tuple[float, float]) -> Iterator[Finding]:
    for name, expected, tolerance in zip(
        ("psnr_y", "ssim"), golden, (_GOLDEN_DB, _GOLDEN_SSIM), strict=True
    ):
        value = found.mean(name) or 0.0
        yield Finding(f"{what} {name}", expected, value, abs(value - expected) <= tolerance)


def _check_entry(entry: Entry, test_set: TestSet, options: EngineOptions) -> Iterator[Finding]:
    expected = entry.figures.get(f"{test_set.name} PSNR-Y")
    if expected is None:
        return
    values: dict[object, float] = {}
    for precision in ("fp32", "auto"):
        chosen = EngineOptions(options.device, options.threads, precision, options.tile)
        enlarger = build_pipeline([FamilyRef(entry.id, (entry,))], entry.scale, chosen)
        # Where fp32 is the default, the second figure is the first.
        dtype = enlarger.upscalers[0].dtype if enlarger.upscalers else precision
        if dtype not in values:
            found = measure_set(enlarger, test_set, entry.scale, Protocol())
            values[dtype] = found.mean("psnr_y") or 0.0
    figures = list(values.values())
    exact, default = figures[0], figures[-1]
    what = f"{entry.id} {test_set.name}"
    good = abs(exact - expected) <= TOLERANCE_DB
    yield Finding(f"{what} PSNR-Y in fp32", expected, exact, good)
    good = exact - default <= TOLERANCE_DB
    yield Finding(f"{what} PSNR-Y at default precision", exact, default, good)
