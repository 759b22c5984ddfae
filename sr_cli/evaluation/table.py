"""A report as a table of values, and as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sr_cli.errors import SrError
from sr_cli.evaluation.measure import ImageFigures, SetFigures
from sr_cli.evaluation.report import METRICS, Figure, Report, Row

Value = str | int | float | Figure | None


@dataclass(frozen=True)
class Column:
    """What a column shows.

    Args:
        heading: As it is printed.
        form: How its numbers are formatted, as Python's format specification.
        is_name: Whether it holds names rather than figures.
    """

    heading: str
    form: str = ""
    is_name: bool = False


@dataclass(frozen=True)
class Table:
    """Columns, and lines with a value for each."""

    columns: Sequence[Column]
    lines: Sequence[Sequence[Value]]

    @property
    def has_differences(self) -> bool:
        """Whether any figure is beside a published one."""
        return any(
            isinstance(v, Figure) and v.difference is not None for line in self.lines for v in line
        )


_COSTS = (
    Column("s/image", ".3f"),
    Column("MP/s", ".2f"),
    Column("parameters", ",d"),
    Column("MACs/px", ",.0f"),
    Column("peak MiB", ",d"),
    Column("device"),
    Column("precision"),
)


def table_of(report: Report, *, per_image: bool = False) -> Table:
    """A line for each model, or with `per_image` for each of its images.

    Several degradations have a column that tells them apart.
    """
    several = len(report.degradations) > 1
    about = [Column("model", is_name=True), Column("scale")]
    about += [Column("degradation", is_name=True)] if several else []

    def named(row: Row) -> list[Value]:
        return [row.model, f"x{row.scale}", *([row.degradation] if several else [])]

    if per_image:
        columns = [*about, Column("set", is_name=True), Column("image", is_name=True)]
        columns += [Column(m.heading) for m in report.metrics]
        lines = [
            [*named(row), name, image.name, *_image_values(report, image)]
            for row in report.rows
            for name, found in row.sets.items()
            for image in found.images
        ]
        return Table([*columns, Column("seconds", ".3f")], lines)
    cells = [(name, m) for name in report.sets for m in report.metrics]
    columns = [*about, *(Column(f"{name} {m.heading}") for name, m in cells), *_COSTS]
    lines = [
        [*named(row), *(report.figure(row, name, m) for name, m in cells), *_costs(row)]
        for row in report.rows
    ]
    return Table(columns, lines)


def _image_values(report: Report, image: ImageFigures) -> list[Value]:
    values = [(m, getattr(image, m.key)) for m in report.metrics]
    return [*(None if v is None else Figure(m, v) for m, v in values), image.seconds]


def _costs(row: Row) -> list[Value]:
    """Means over the sets of the median time and of the speed; size, work, memory, place."""
    seconds = [s.seconds for s in row.sets.values() if s.seconds is not None]
    rates = [r for s in row.sets.values() if (r := s.megapixels_per_second) is not None]
    return [
        sum(seconds) / len(seconds) if seconds else None,
        sum(rates) / len(rates) if rates else None,
        row.parameters or None,
        row.multiply_adds or None,
        row.peak_memory >> 20 if row.peak_memory else None,
        row.device,
        row.precision,
    ]


def text_of(value: Value, form: str = "") -> str:
    """A value as it is shown: `32.09 (-0.02)` for a figure beside a published one."""
    if value is None:
        return ""
    if isinstance(value, Figure):
        text = number_of(value)
        if value.difference is None:
            return text
        return f"{text} ({value.difference:+.{value.metric.digits}f})"
    return value if isinstance(value, str) else format(value, form)


def number_of(figure: Figure) -> str:
    """A figure alone, with the digits that papers give it; identical images have `inf` dB."""
    return "inf" if math.isinf(figure.value) else f"{figure.value:.{figure.metric.digits}f}"


def as_csv(table: Table) -> str:
    """Comma-separated values; figures without their differences to published ones."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(c.heading for c in table.columns)
    for line in table.lines:
        writer.writerow(
            number_of(v) if isinstance(v, Figure) else text_of(v, c.form.replace(",", ""))
            for c, v in zip(table.columns, line, strict=True)
        )
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """A table in Markdown."""
    head = [c.heading for c in table.columns]
    lines = [
        [text_of(v, c.form).replace("|", "\\|") for c, v in zip(table.columns, line, strict=True)]
        for line in table.lines
    ]
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def as_document(
    report: Report,
    *,
    per_image: bool = False,
    record: Callable[[SrError], dict[str, Any]] = SrError.as_dict,
) -> dict[str, Any]:
    """A report as `sr benchmark --json` prints it: docs/schemas/benchmark.schema.json.

    Args:
        report: What was found.
        per_image: Also every image's figures.
        record: Makes a record of an error.
    """
    return {"results": [_row_document(row, per_image, record) for row in report.rows]}


def _row_document(
    row: Row, per_image: bool, record: Callable[[SrError], dict[str, Any]]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "model": row.model,
        "scale": row.scale,
        "degradation": row.degradation,
        "parameters": row.parameters,
        "multiply_adds_per_pixel": round(row.multiply_adds, 1),
        "device": row.device,
        "precision": row.precision,
        "peak_memory_bytes": row.peak_memory,
        "sets": {
            name: _set_document(row, name, found, per_image, record)
            for name, found in row.sets.items()
        },
    }
    if row.error is not None:
        document["error"] = record(row.error)
    return document


def _set_document(
    row: Row,
    name: str,
    found: SetFigures,
    per_image: bool,
    record: Callable[[SrError], dict[str, Any]],
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "images": len(found.images),
        "errors": [record(e) for e in found.errors],
        **_finite({m.key: found.mean(m.key) for m in METRICS}),
        "seconds_per_image": found.seconds,
        "megapixels_per_second": found.megapixels_per_second,
    }
    if paper := row.published(name):
        document["published"] = paper
    if per_image:
        document["per_image"] = [_image_document(image) for image in found.images]
    return document


def _image_document(image: ImageFigures) -> dict[str, Any]:
    values = asdict(image)
    figures = _finite({m.key: values.pop(m.key) for m in METRICS})
    return {"name": values.pop("name"), **figures, **values}


def _finite(figures: dict[str, float | None]) -> dict[str, Any]:
    """What was measured. JSON has no infinity: such figures are null, and listed."""
    found = {k: v for k, v in figures.items() if v is not None}
    infinite = [k for k, v in found.items() if math.isinf(v)]
    document: dict[str, Any] = {k: None if k in infinite else round(v, 6) for k, v in found.items()}
    return document | ({"infinite": infinite} if infinite else {})
