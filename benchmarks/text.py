"""How well pages are read through models, and which images `-m auto` takes for pages.

    python tools/text_pages.py judge judged/ --count 2
    python benchmarks/text.py read judged/ --scale 2 [-m text -m photo -m edsr]
    python benchmarks/text.py pages judged/eng/ BSD100/ Set14/

`read` prints Markdown: the character error rate of Tesseract by lines of so many lr pixels and by
condition for English, then by language, and the most frequent confusions. Folders are named as
Tesseract names languages. `pages` prints how many images of each folder are taken for pages.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from sr_cli.engine.options import EngineOptions
from sr_cli.evaluation.datasets import images_in
from sr_cli.evaluation.measure import read_8_bit
from sr_cli.evaluation.ocr import OcrRow, benchmark_ocr
from sr_cli.evaluation.reading import Reading, sum_of
from sr_cli.imaging.page import is_page

BY = ("eng", "deu", "fra", "ell", "rus", "ara", "hin", "chi_sim", "jpn")
CONFUSIONS = 12

_EXACT = EngineOptions(precision="fp32")
"""The same on every machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["read", "pages"])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--scale", type=int, default=2, choices=[2, 3, 4])
    parser.add_argument("-m", "--model", action="append")
    options = parser.parse_args()
    if options.what == "pages":
        count_pages(options.folders)
    else:
        models = options.model or ["text", "photo", "edsr"]
        for folder in options.folders:
            print_readings(folder, models, options.scale)


def count_pages(folders: Iterable[Path]) -> None:
    """Print for each folder how many of its images are taken for pages."""
    print("| images | pages | others | taken for pages |\n| --- | --- | --- | --- |")
    for folder in folders:
        files = images_in(folder)
        pages = [p.name for p in files if is_page(read_8_bit(p))]
        named = ", ".join(pages) if len(pages) <= 6 else ""
        print(f"| {folder.name} | {len(pages)} | {len(files) - len(pages)} | {named} |")


def print_readings(folder: Path, models: list[str], scale: int) -> None:
    """Print the tables for a folder of folders, one a language."""
    found = {
        name: benchmark_ocr(
            [folder / name], language=name, models=models, scale=scale, engine=_EXACT
        ).rows
        for name in BY
        if (folder / name).is_dir()
    }
    if not found:
        raise SystemExit(f"{folder}: no folder in it is named as a language ({', '.join(BY)})")
    if "eng" in found:
        print(f"English, x{scale}:\n")
        print_table(found["eng"], lambda page: f"{size_of(page)} px")
        print_table(found["eng"], lambda page: page.split("-")[1])
    print(f"All languages, x{scale}:\n")
    first = next(iter(found.values()))
    merged = [OcrRow(row.model, row.scale) for row in first]
    for rows in found.values():
        for row, own in zip(merged, rows, strict=True):
            row.pages |= own.pages
    print_table(merged, lambda page: page.split("/")[0])
    for row in found.get("eng", ()):
        pairs = ", ".join(f"{a}→{b} {n}" for (a, b), n in row.total.confusions[:CONFUSIONS])
        print(f"- {row.model}: {pairs}")


def size_of(page: str) -> int:
    """The lr pixels from line to line of a page, from its name."""
    return int(re.findall(r"/(\d+)px", page)[0])


def print_table(rows: Iterable[OcrRow], key: Callable[[str], str]) -> None:
    """Print the error rates, pages grouped by a key of their names."""
    rows = list(rows)
    groups = list(dict.fromkeys(key(name) for name in rows[0].pages))
    print("| model | " + " | ".join(groups) + " |")
    print("| --- |" + " --- |" * len(groups))
    for row in rows:
        rates = [rate_of(v for name, v in row.pages.items() if key(name) == g) for g in groups]
        print(f"| {row.model} | " + " | ".join(rates) + " |")
    print()


def rate_of(readings: Iterable[Reading]) -> str:
    """The error rate of several pages."""
    rate = sum_of(readings).rate
    return "" if rate is None else f"{rate:.1%}"


if __name__ == "__main__":
    main()
