"""`sr benchmark --ocr`: texts compared letter by letter, and what Tesseract reads."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import stat
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from helpers import REPOSITORY
from helpers.command import Run
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from sr_cli.evaluation import alignment
from sr_cli.evaluation.reading import comparable, compare_texts

SCHEMA = json.loads((REPOSITORY / "docs/schemas/ocr.schema.json").read_text())
TEXT = "Reading small text again"

FAKE = """#!/bin/sh
case "$*" in
  --list-langs) printf 'List of available languages (2):\\neng\\nosd\\n' ;;
  *) width=$(head -c 24 | od -An -tu4 --endian=big -j16 -N4)
     [ $width -eq 66 ] && { echo 'out of ink' >&2; exit 1; }
     [ $width -gt 60 ] && echo 'Reading small text again' || echo 'Readlng smal text agajn!' ;;
esac
"""
"""A program that reads worse what is at most 60 pixels wide, and cannot read what is 66 wide."""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A folder with one image of text."""
    folder = tmp_path / "pages"
    folder.mkdir()
    Image.new("RGB", (40, 16), "white").save(folder / "one.png")
    (folder / "one.gt.txt").write_text(TEXT + "\n")
    return folder


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tesseract that always reads the same."""
    program = tmp_path / "bin" / "tesseract"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def slow_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other)))
    return row[-1]


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_errors_are_the_fewest_edits(written: str, read: str) -> None:
    found = compare_texts(written, read)
    assert found.errors == slow_distance(written, read)
    assert found.letters == len(written)
    assert found.letters - found.missed + found.added == len(read)
    assert all(a != b for a, b in found.confused)


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_long_texts_are_cut_without_an_error_more(written: str, read: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "_MOST_CELLS", 6)
        found = compare_texts(written, read)
    assert found.errors == slow_distance(written, read)
    assert found.letters - found.missed + found.added == len(read)


def test_a_confusion_has_its_letters_in_order() -> None:
    found = compare_texts("hello l1", "heIIo ll")
    assert found.confused == {("l", "I"): 2, ("1", "l"): 1}
    assert found.rate == 3 / 8 and found.missed == found.added == 0


COLUMNS = """Name of the file
Meaning of its letters
--output=FILE
where the result is written"""
SPLIT_COLUMNS = """--output=FILE where the result is
written Name of the file
Meaning of its letters"""


def test_lines_that_are_read_elsewhere_are_right_in_any_order() -> None:
    lines = ["The quick brown fox", "jumps over", "a lazy dog, and sleeps."]
    found = compare_texts("\n".join(lines), "\n".join(reversed(lines)))
    assert found.errors > 20 and found.in_any_order == 0
    misread = compare_texts(COLUMNS, SPLIT_COLUMNS.replace("letters", "lettcrs"))
    assert misread.errors > 20 and misread.in_any_order == 1


def test_what_is_read_twice_or_not_is_wrong_in_any_order() -> None:
    lines = ["one line of text", "another one"]
    twice = compare_texts("\n".join(lines), "\n".join([*lines, lines[0]]))
    assert twice.in_any_order == len(lines[0])
    missed = compare_texts("\n".join(lines), lines[1])
    assert missed.in_any_order == len(lines[0])
    assert compare_texts("", "").rate_in_any_order is None
    assert compare_texts("abc", "xyzuv").in_any_order == 5


@given(st.text("ab \n", max_size=40), st.text("ab \n", max_size=40))
def test_any_order_has_no_more_errors(written: str, read: str) -> None:
    found = compare_texts(written, read)
    assert 0 <= found.in_any_order <= found.errors
    assert compare_texts(written, written).in_any_order == 0


def test_a_long_line_is_found_in_parts() -> None:
    lines = [" ".join(f"word{i}" for i in range(n, n + 10)) for n in range(0, 300, 10)]
    found = compare_texts(" ".join(lines), "\n".join(reversed(lines)))
    assert found.letters > 2000 and found.errors > 300
    assert found.in_any_order < 20  # of the line that is cut, so that it takes no longer


def test_what_says_nothing_is_not_compared() -> None:
    assert comparable(" it’s\n “so”  –  ok ") == 'it\'s "so" - ok'
    assert comparable("e\u0301\u200e") == "é"
    assert comparable("春 风 吹 abc 又") == "春风吹 abc 又"


def test_rates_and_confusions_of_each_model(sr: Run, pages: Path, fake: None) -> None:
    done = sr("benchmark", "pages", "--ocr", "eng", "-m", "bicubic", "--json", "--per-image")
    assert done.returncode == 0, done.stderr
    jsonschema.Draft202012Validator(SCHEMA).validate(done.document)
    rows = {row["model"]: row for row in done.document["results"]}
    assert list(rows) == ["input", "bicubic"]
    assert rows["input"]["scale"] == 1 and rows["bicubic"]["scale"] == 2
    assert rows["bicubic"]["character_error_rate"] == 0
    assert rows["input"]["missed"] == 1 and rows["input"]["added"] == 1
    assert rows["input"]["confusions"] == [
        {"written": "i", "read": "j", "count": 1},
        {"written": "i", "read": "l", "count": 1},
    ]
    assert rows["input"]["character_error_rate"] == round(4 / len(TEXT), 6)
    assert rows["input"]["character_error_rate_in_any_order"] == round(4 / len(TEXT), 6)
    (page,) = rows["input"]["per_image"]
    assert page["name"] == "pages/one" and page["missed"] == 1


def test_pages_of_one_name_are_all_counted(sr: Run, pages: Path, fake: None) -> None:
    other = pages.parent / "other" / "pages"
    shutil.copytree(pages, other)
    Image.new("RGB", (20, 16)).save(pages / "one.jpg")
    base = ("benchmark", "pages", "other/pages", "pages", "--ocr", "eng", "-m", "bicubic")
    done = sr(*base, "--json", "--per-image")
    assert done.returncode == 0, done.stderr
    for row in done.document["results"]:
        assert row["images"] == 3 and row["letters"] == 3 * len(TEXT)
        assert len({page["name"] for page in row["per_image"]}) == 3


def test_tables(sr: Run, pages: Path, fake: None) -> None:
    base = ("benchmark", "pages", "--ocr", "eng", "-m", "bicubic")
    table = list(csv.DictReader(io.StringIO(sr(*base, "--csv").stdout.decode())))
    assert table[0]["CER"] == "16.7%" and table[0]["most confused"] == "i→j 1, i→l 1"
    assert b"| pages/one |" in sr(*base, "--markdown", "--per-image").stdout
    assert b"16.7%" in sr(*base).stdout


def test_a_page_that_cannot_be_read_stops_no_other(sr: Run, pages: Path, fake: None) -> None:
    Image.new("RGB", (33, 16)).save(pages / "odd.png")
    (pages / "odd.gt.txt").write_text("a")
    (pages / "broken.png").write_bytes(b"no image")
    (pages / "broken.gt.txt").write_text("b")
    done = sr("benchmark", "pages", "--ocr", "eng", "-m", "bicubic", "--json")
    assert done.returncode == 1
    assert sorted(set(done.error_codes)) == ["tesseract-failed", "unknown-image-format"]
    _, bicubic = done.document["results"]
    assert bicubic["images"] == 1 and len(bicubic["errors"]) == 2


def test_refusals(
    sr: Run, pages: Path, fake: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ("benchmark", "pages", "-m", "bicubic", "--ocr")
    assert sr(*base, "xyz").error_codes == ["unknown-value"]
    assert sr("benchmark", "--ocr", "eng").error_codes == ["option-requires"]
    assert sr("benchmark", "Set5", "--ocr", "eng").error_codes == ["folder-not-found"]
    for option in ("--check", "--rgb", ("--lpips", "alex"), ("--save", "x"), ("--lr", "y")):
        extra = (option,) if isinstance(option, str) else option
        assert sr(*base, "eng", *extra).error_codes == ["conflicting-options"], extra
    (pages / "one.gt.txt").write_bytes(b"\xff\xfe\x00")
    assert sr(*base, "eng").error_codes == ["unreadable-text"]
    (pages / "one.gt.txt").unlink()
    done = sr(*base, "eng")
    assert done.returncode == 2 and done.error_codes == ["text-missing"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sr(*base, "eng").error_codes == ["tesseract-not-found"]


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
def test_tesseract_reads_what_is_large_enough(sr: Run, tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    large = Image.new("L", (900, 120), 255)
    font = ImageFont.load_default(64)
    ImageDraw.Draw(large).text((20, 20), TEXT, font=font, fill=0)
    Image.fromarray(np.asarray(large.reduce(4))).save(folder / "small.png")
    (folder / "small.gt.txt").write_text(TEXT)
    done = sr("benchmark", "real", "--ocr", "eng", "-m", "bicubic", "-x4", "--json")
    assert done.returncode == 0, done.stderr
    assert done.document["results"][1]["character_error_rate"] < 0.1
