"""Results as rows: published figures beside ours, and the same table as JSON, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from sr_cli.evaluation.measure import SetFigures

FIGURES = ("psnr_y", "ssim", "lpips", "psnr_rgb")
HEADINGS = {"psnr_y": "PSNR-Y", "ssim": "SSIM", "lpips": "LPIPS", "psnr_rgb": "PSNR-RGB"}
_DIGITS = {"psnr_y": 2, "ssim": 4, "lpips": 4, "psnr_rgb": 2}


@dataclass
class Row:
    """One model: its sets, and what it costs. `family` names it in the published tables."""

    model: str
    family: str
    scale: int
    sets: dict[str, SetFigures] = field(default_factory=dict)
    parameters: int = 0
    multiply_adds: float = 0.0
    device: str = "cpu"
    precision: str | None = None
    peak_memory: int | None = None
    error: str | None = None
    degradation: str = "bicubic"
    known: set[str] = field(default_factory=set)
    """The sets that are the papers', not folders that happen to be called so."""

    def paper(self, test_set: str) -> dict[str, float]:
        """The published figures that these may be compared with."""
        if self.degradation != "bicubic" or test_set not in self.known:
            return {}
        return published(self.family, self.scale, test_set)

    def quality(self) -> float:
        """The mean PSNR-Y over the sets, for sorting."""
        values = [s.mean("psnr_y") for s in self.sets.values()]
        known = [v for v in values if v is not None]
        return sum(known) / len(known) if known else -math.inf


@lru_cache
def _published() -> dict[str, Any]:
    text = (Path(__file__).parent / "data" / "published.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)["figures"]
    return figures


def published(family: str, scale: int, test_set: str) -> dict[str, float]:
    """The paper's figures (`psnr_y`, `ssim`, `lpips`), as far as it has them."""
    found: dict[str, float] = _published().get(family, {}).get(f"x{scale}", {}).get(test_set, {})
    return found


def measured(rows: Sequence[Row]) -> list[str]:
    """Which figures there are, in the order of the columns."""
    all_sets = [s for row in rows for s in row.sets.values() if s.images]
    return [f for f in FIGURES if any(s.mean(f) is not None for s in all_sets)]


def shown(what: str, value: float | None) -> str:
    """A figure with the digits that papers give it; identical pictures have `inf` dB."""
    if value is None:
        return ""
    return "inf" if math.isinf(value) else f"{value:.{_DIGITS[what]}f}"


def is_better(what: str, a: float, b: float) -> bool:
    """LPIPS is a distance, the others grow with quality."""
    return a < b if what == "lpips" else a > b


def best(rows: Sequence[Row], test_set: str, what: str) -> float | None:
    """The best figure of a column."""
    values = [v for r in rows if (v := _mean(r, test_set, what)) is not None]
    if not values:
        return None
    return min(values) if what == "lpips" else max(values)


def _mean(row: Row, test_set: str, what: str) -> float | None:
    found = row.sets.get(test_set)
    return found.mean(what) if found is not None else None


def cell(row: Row, test_set: str, what: str) -> str:
    """`32.09 (-0.02)`: ours, and in brackets how far from the published figure."""
    value = _mean(row, test_set, what)
    text = shown(what, value)
    paper = row.paper(test_set).get(what)
    if value is None or paper is None or math.isinf(value):
        return text
    return f"{text} ({value - paper:+.{_DIGITS[what]}f})"


def as_document(rows: Sequence[Row], *, per_image: bool) -> dict[str, Any]:
    """One JSON document. Infinite PSNR is null, with a note."""
    return {"results": [_row_document(row, per_image) for row in rows]}


def _row_document(row: Row, per_image: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "model": row.model,
        "scale": row.scale,
        "parameters": row.parameters,
        "multiply_adds_per_pixel": round(row.multiply_adds, 1),
        "device": row.device,
        "precision": row.precision,
        "degradation": row.degradation,
        "peak_memory_bytes": row.peak_memory,
        "sets": {},
    }
    if row.error:
        document["error"] = row.error
    for name, found in row.sets.items():
        entry: dict[str, Any] = {"images": len(found.images), "errors": found.errors}
        for what in FIGURES:
            _put(entry, what, found.mean(what))
        entry["seconds_per_image"] = found.seconds
        entry["megapixels_per_second"] = found.megapixels_per_second
        if paper := row.paper(name):
            entry["published"] = paper
        if per_image:
            entry["per_image"] = []
            for image in found.images:
                record: dict[str, Any] = {}
                for key, value in asdict(image).items():
                    if key in FIGURES:
                        _put(record, key, value)
                    else:
                        record[key] = value
                entry["per_image"].append(record)
        document["sets"][name] = entry
    return document


def _put(entry: dict[str, Any], what: str, value: float | None) -> None:
    if value is None:
        return
    if math.isinf(value):
        entry[what] = None
        entry[f"{what}_note"] = "infinite: the pictures are identical"
    else:
        entry[what] = round(value, 6)


def as_table(rows: Sequence[Row], *, per_image: bool) -> tuple[list[str], list[list[str]]]:
    """Headings and cells as text; with `per_image` a line for each image.

    Several degradations have a column that tells them apart.
    """
    figures = measured(rows)
    several = len({row.degradation for row in rows}) > 1
    headings = ["model", "scale", *(["degradation"] if several else [])]
    if per_image:
        headings += ["set", "image", *(HEADINGS[f] for f in figures), "seconds"]
        lines = [
            [*_about(row, several), name, image.name]
            + [shown(f, getattr(image, f)) for f in figures]
            + [f"{image.seconds:.3f}"]
            for row in rows
            for name, found in row.sets.items()
            for image in found.images
        ]
        return headings, lines
    names = list(dict.fromkeys(name for row in rows for name in row.sets))
    headings += [f"{name} {HEADINGS[f]}" for name in names for f in figures]
    headings += ["s/image", "MP/s", "parameters", "MACs/px", "peak MiB", "device", "precision"]
    lines = []
    for row in rows:
        cells = [cell(row, name, f) for name in names for f in figures]
        lines.append([*_about(row, several), *cells, *costs(row)])
    return headings, lines


def _about(row: Row, several: bool) -> list[str]:
    return [row.model, f"x{row.scale}", *([row.degradation] if several else [])]


def costs(row: Row) -> list[str]:
    """Seconds for an image (median), megapixels a second, size, work, memory, and where it ran."""
    sets = [s for s in row.sets.values() if s.images]
    seconds = [s.seconds for s in sets if s.seconds is not None]
    rates = [r for s in sets if (r := s.megapixels_per_second) is not None]
    return [
        f"{sum(seconds) / len(seconds):.3f}" if seconds else "",
        f"{sum(rates) / len(rates):.2f}" if rates else "",
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.multiply_adds:,.0f}" if row.multiply_adds else "",
        f"{row.peak_memory >> 20:,}" if row.peak_memory else "",
        row.device,
        row.precision or "",
    ]


_NAMES = ("model", "degradation", "set", "image")


def as_csv(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Comma-separated, the differences to published figures left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    for line in lines:
        writer.writerow(
            c if heading in _NAMES else c.split(" (")[0].replace(",", "")
            for heading, c in zip(headings, line, strict=True)
        )
    return text.getvalue()


def as_markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table as Markdown has them."""
    head, *body = [[c.replace("|", "\\|") for c in line] for line in (headings, *lines)]
    rows = [head, ["---"] * len(headings), *body]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)
