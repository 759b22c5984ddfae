"""A report of `--ocr` as a table and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sr_cli.errors import SrError
from sr_cli.evaluation.ocr import OcrReport, OcrRow
from sr_cli.evaluation.reading import Reading
from sr_cli.evaluation.table import Column, Table, Value

SHOWN_CONFUSIONS = 5
"""In tables; JSON has all."""

_FIGURES = (
    *(Column("CER", ".1%"), Column("in any order", ".1%"), Column("letters", ",d")),
    *(
        Column("confused", ",d"),
        Column("missed", ",d"),
        Column("added", ",d"),
        Column("most confused", is_name=True),
    ),
)


def ocr_table(report: OcrReport, *, per_image: bool = False) -> Table:
    """A line for each model, or with `per_image` for each of its images."""
    about = [Column("model", is_name=True), Column("scale")]
    if not per_image:
        lines = [[r.model, f"x{r.scale}", *_figures(r.total)] for r in report.rows]
        return Table([*about, *_FIGURES], lines)
    lines = [
        [row.model, f"x{row.scale}", name, *_figures(reading)]
        for row in report.rows
        for name, reading in row.pages.items()
    ]
    return Table([*about, Column("image", is_name=True), *_FIGURES], lines)


def _figures(reading: Reading) -> list[Value]:
    most = reading.confusions[:SHOWN_CONFUSIONS]
    pairs = ", ".join(f"{a}→{b} {count}" for (a, b), count in most)
    counts = [reading.letters, reading.confused.total(), reading.missed, reading.added]
    return [reading.rate, reading.rate_in_any_order, *counts, pairs]


def ocr_document(
    report: OcrReport,
    *,
    per_image: bool = False,
    record: Callable[[SrError], dict[str, Any]] = SrError.as_dict,
) -> dict[str, Any]:
    """A report as `sr benchmark --ocr --json` prints it: docs/schemas/ocr.schema.json.

    Args:
        report: What was read.
        per_image: Also every image's reading.
        record: Makes a record of an error.
    """
    rows = [_row_document(row, per_image, record) for row in report.rows]
    return {"language": report.language, "results": rows}


def _row_document(
    row: OcrRow, per_image: bool, record: Callable[[SrError], dict[str, Any]]
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "model": row.model,
        "scale": row.scale,
        "images": len(row.pages),
        **_reading_document(row.total),
        "errors": [record(e) for e in row.errors],
    }
    if per_image:
        document["per_image"] = [
            {"name": name, **_reading_document(reading)} for name, reading in row.pages.items()
        ]
    if row.error is not None:
        document["error"] = record(row.error)
    return document


def _reading_document(reading: Reading) -> dict[str, Any]:
    return {
        "character_error_rate": _rounded(reading.rate),
        "character_error_rate_in_any_order": _rounded(reading.rate_in_any_order),
        "letters": reading.letters,
        "missed": reading.missed,
        "added": reading.added,
        "confusions": [
            {"written": a, "read": b, "count": count} for (a, b), count in reading.confusions
        ],
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)
