"""A report as a table, CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from sr_cli.errors import SrError
from sr_cli.evaluation.measure import ImageFigures, SetFigures
from sr_cli.evaluation.report import METRICS, Figure, Report, Row
from sr_cli.evaluation.table import (
    Column,
    Table,
    as_csv,
    as_document,
    as_markdown,
    table_of,
    text_of,
)

PSNR, SSIM, *_ = METRICS


def row(model: str, psnr_y: float, **more: object) -> Row:
    images = [ImageFigures(f"{n},x", psnr_y + n, 0.9, 0.25, 0.5) for n in range(2)]
    fields = {"family": model, "scale": 4, "sets": {"Set5": SetFigures(images)}, **more}
    return Row(model, **fields)  # type: ignore[arg-type]


def report() -> Report:
    costly = row("srcnn", 29.98, parameters=1234567, multiply_adds=4321.6,
                 precision="bf16", peak_memory=(3 << 30) + 5, known_sets={"Set5"})  # fmt: skip
    return Report(4, [row("a|b", 28.0), costly])


def test_a_table_holds_values() -> None:
    table = table_of(report())
    assert [c.heading for c in table.columns] == [
        "model", "scale", "Set5 PSNR-Y", "Set5 SSIM", "s/image", "MP/s", "parameters", "MACs/px",
        "peak MiB", "device", "precision",
    ]  # fmt: skip
    assert [c.heading for c in table.columns if c.is_name] == ["model"]
    assert table.lines[0] == [
        "a|b", "x4", Figure(PSNR, 28.5), Figure(SSIM, 0.9, is_best=True), 0.25, 2.0, None, None,
        None, "cpu", None,
    ]  # fmt: skip
    psnr = table.lines[1][2]
    assert isinstance(psnr, Figure) and psnr.is_best
    assert psnr.difference == pytest.approx(30.48 - 30.48, abs=0.02)
    assert table.lines[1][4:] == [0.25, 2.0, 1234567, 4321.6, 3072, "cpu", "bf16"]
    assert table.has_differences and not table_of(Report(4, [row("a", 1.0)])).has_differences


def test_costs_are_means_over_the_sets() -> None:
    two = row("a", 28.0)
    two.sets["Set14"] = SetFigures([ImageFigures("b", 30.0, 0.9, 0.75, 3.0)])
    two.sets["empty"] = SetFigures()
    values = dict(zip((c.heading for c in table_of(Report(4, [two])).columns),
                      table_of(Report(4, [two])).lines[0], strict=True))  # fmt: skip
    assert values["s/image"] == pytest.approx((0.25 + 0.75) / 2)
    assert values["MP/s"] == pytest.approx((2.0 + 4.0) / 2)
    assert values["empty PSNR-Y"] is None


def test_a_document_holds_what_a_model_costs() -> None:
    costly = row("a", 28.123456789, parameters=7, multiply_adds=1.26, peak_memory=9)
    (found,) = as_document(Report(4, [costly]))["results"]
    assert (found["parameters"], found["multiply_adds_per_pixel"]) == (7, 1.3)
    assert found["peak_memory_bytes"] == 9 and found["sets"]["Set5"]["psnr_y"] == 28.623457
    assert found["sets"]["Set5"]["megapixels_per_second"] == 2.0


def test_values_as_text() -> None:
    assert text_of(Figure(PSNR, 32.094, -0.0161)) == "32.09 (-0.02)"
    assert text_of(Figure(SSIM, 0.88884, 0.00011)) == "0.8888 (+0.0001)"
    assert text_of(Figure(PSNR, math.inf)) == "inf"
    assert (text_of(None), text_of("a"), text_of(1234.5, ",.0f")) == ("", "a", "1,234")


def test_csv_holds_plain_numbers() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(table_of(report())))))
    assert lines[1]["parameters"] == "1234567" and lines[1]["MACs/px"] == "4322"
    assert lines[1]["Set5 PSNR-Y"] == "30.48" and lines[1]["peak MiB"] == "3072"
    assert lines[0]["precision"] == "" and lines[0]["s/image"] == "0.250"
    images = list(csv.DictReader(io.StringIO(as_csv(table_of(report(), per_image=True)))))
    assert [i["image"] for i in images] == ["0,x", "1,x"] * 2
    assert (images[1]["set"], images[1]["PSNR-Y"]) == ("Set5", "29.00")
    assert images[1]["seconds"] == "0.250"


def test_markdown_escapes_what_would_end_a_cell() -> None:
    head, line, first, second = as_markdown(table_of(report())).splitlines()
    assert head.startswith("| model | scale |") and line == "|" + " --- |" * 11
    assert first.startswith(r"| a\|b | x4 | 28.50 | 0.9000 |")
    assert "1,234,567" in second and "(" in second
    assert as_markdown(Table([Column("n", ".1f")], [[2.0]])) == "| n |\n| --- |\n| 2.0 |\n"


def test_several_degradations_have_a_column() -> None:
    two = Report(4, [row("a", 28.0), row("a", 20.0, degradation="noise")])
    for per_image in (False, True):
        table = table_of(two, per_image=per_image)
        assert table.columns[2].heading == "degradation" and table.columns[2].is_name
        assert {line[2] for line in table.lines} == {"bicubic", "noise"}


def test_a_document_is_finite_and_holds_errors() -> None:
    equal = row("a", math.inf)
    equal.sets["Set5"].errors.append(SrError("image-too-small", "b.png", width=1))
    broken = Row("b", "", 4, error=SrError("model-odd", "b", cause=SrError("why")))
    document = as_document(Report(4, [equal, broken]), per_image=True)
    text = json.dumps(document, allow_nan=False)
    first, second = json.loads(text)["results"]
    found = first["sets"]["Set5"]
    assert found["psnr_y"] is None and found["infinite"] == ["psnr_y"]
    assert found["per_image"][0]["infinite"] == ["psnr_y"] and found["ssim"] == 0.9
    assert found["errors"] == [{"code": "image-too-small", "subject": "b.png", "width": 1}]
    assert "published" not in found and "psnr_rgb" not in found
    assert second["error"]["code"] == "model-odd" and second["error"]["cause"]["code"] == "why"
    assert second["sets"] == {} and second["peak_memory_bytes"] is None
    assert "per_image" not in as_document(Report(4, [equal]))["results"][0]["sets"]["Set5"]
