"""Write the tables of docs/figures.md and MODELS.md from the manifest, the papers and timings.

    python tools/tables.py [--speeds]

--speeds times each network anew on this machine, which should be idle: seconds for 256x256 lr
pixels in colour through the whole engine. Otherwise the times in docs/figures.md are kept.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sr_cli.engine.device import prepare_cpu
from sr_cli.engine.upscaler import Upscaler
from sr_cli.evaluation.report import published
from sr_cli.registry.manifest import Entry, load_manifest
from sr_cli.registry.ref import load_model

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs/figures.md"
CARDS = ROOT / "MODELS.md"
SETS = ("Set5", "Set14", "BSD100")
ROUNDS = 5
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.S)
_CARD = re.compile(r"<!-- card ([\w-]+) -->\n.*?(?=<!-- end -->)", re.S)
_TIMED = re.compile(r"^\| `([\w-]+)` \|.*\| ([\d.]+|–) \|$", re.M)


def pages(speeds: Mapping[str, str] | None = None) -> dict[Path, str]:
    """The text that each page must have.

    Args:
        speeds: Seconds by id, as text; None keeps those of the page of figures.
    """
    entries = [e for e in load_manifest().embedded if e.figures]
    figures, cards = (path.read_text(encoding="utf-8") for path in (FIGURES, CARDS))
    times = dict(_TIMED.findall(figures)) if speeds is None else speeds
    for path, text, pattern in ((FIGURES, figures, _TABLE), (CARDS, cards, _CARD)):
        if not pattern.search(text):
            raise SystemExit(f"{path.name}: no table to write")
    return {
        FIGURES: _TABLE.sub(lambda _: figures_table(entries, times), figures),
        CARDS: _CARD.sub(
            lambda m: f"<!-- card {m[1]} -->\n{card_table(entries, m[1], times)}", cards
        ),
    }


def figures_table(entries: Sequence[Entry], times: Mapping[str, str]) -> str:
    """Every model, by scale and quality."""
    head = ("model", "parameters", *SETS, "paper", "LPIPS", "seconds")
    rows = []
    for e in sorted(entries, key=lambda e: (e.scale, e.figures["Set5 PSNR-Y"])):
        quality = (f"{e.figures[f'{s} PSNR-Y']:.2f}" for s in SETS)
        rest = (papers_psnr_y(e), _lpips(e), times.get(e.id, "–"))
        rows.append((f"`{e.id}`", f"{e.parameters:,}", *quality, *rest))
    return _table(head, rows)


def card_table(entries: Sequence[Entry], family: str, times: Mapping[str, str]) -> str:
    """The models of one card."""
    head = ("id", "parameters", "file", "PSNR-Y", "LPIPS", "seconds")
    rows = []
    for e in (e for e in entries if e.family == family):
        quality = " / ".join(f"{e.figures[f'{s} PSNR-Y']:.2f}" for s in SETS)
        size = f"{(e.bytes or 0) / 1e6:.2f} MB"
        timed = times.get(e.id, "–")
        rows.append((f"`{e.id}`", f"{e.parameters:,}", size, quality, _lpips(e), timed))
    return _table(head, rows)


def papers_psnr_y(entry: Entry) -> str:
    """The paper's PSNR-Y on the three sets."""
    found = [published(entry.family, entry.scale, s).get("psnr_y") for s in SETS]
    if found == [None] * len(SETS):
        return "–"
    return " / ".join("–" if value is None else f"{value:.2f}" for value in found)


def seconds(entry: Entry) -> float:
    """The median over ROUNDS for a 256x256 image in colour."""
    upscaler = Upscaler(load_model(entry.id, scale=entry.scale))
    lr = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    upscaler(lr)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        upscaler(lr)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _lpips(entry: Entry) -> str:
    distances = [entry.figures.get(f"{s} LPIPS") for s in SETS]
    return " / ".join("–" if d is None else f"{d:.3f}"[1:] for d in distances)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--speeds", action="store_true")
    speeds = None
    if parser.parse_args().speeds:
        prepare_cpu()
        embedded = [e for e in load_manifest().embedded if e.figures]
        speeds = {e.id: f"{seconds(e):.3f}" for e in embedded}
    for path, text in pages(speeds).items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
