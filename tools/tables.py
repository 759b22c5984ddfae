"""Write the tables of README.md and MODELS.md from the manifest, the papers' figures and speeds.

    python tools/tables.py [--speeds]

--speeds times each network anew on this machine (quiet, please): seconds for 256x256 lr pixels
in colour through the whole engine. The times are kept in MODELS.md's table otherwise.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from pathlib import Path

import numpy as np

from sr_cli.engine.device import prepare_cpu
from sr_cli.engine.upscaler import Upscaler
from sr_cli.registry.manifest import Entry, load_manifest
from sr_cli.registry.ref import load_model

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "sr_cli/evaluation/data/published.json"
SETS = ("Set5", "Set14", "BSD100")
ROUNDS = 5
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.S)


def seconds(entry: Entry) -> float:
    """The median over ROUNDS for a 256x256 picture in colour."""
    upscaler = Upscaler(load_model(entry.id, scale=entry.scale))
    lr = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    upscaler(lr)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        upscaler(lr)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def published(entry: Entry, papers: dict[str, dict[str, dict[str, dict[str, float]]]]) -> str:
    """The paper's PSNR-Y on the three sets."""
    family = entry.id.rsplit("-x", 1)[0]
    own = papers.get(family, {}).get(f"x{entry.scale}", {})
    figures = [f"{own[s]['psnr_y']:.2f}" if s in own else "–" for s in SETS]
    return " / ".join(figures) if own else "–"


def table(entries: list[Entry], speeds: dict[str, str], *, full: bool) -> str:
    papers = json.loads(PUBLISHED.read_text())["figures"]
    head = ["model", "parameters", *SETS, "paper"] + (["LPIPS", "seconds"] if full else [])
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for e in sorted(entries, key=lambda e: (e.scale, e.figures["Set5 PSNR-Y"])):
        cells = [f"`{e.id}`", f"{e.parameters:,}"]
        cells += [f"{e.figures[f'{s} PSNR-Y']:.2f}" for s in SETS]
        cells.append(published(e, papers))
        if full:
            distances = [e.figures.get(f"{s} LPIPS") for s in SETS]
            cells.append(" / ".join("–" if d is None else f"{d:.3f}"[1:] for d in distances))
            cells.append(speeds.get(e.id, "–"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def kept_speeds(text: str) -> dict[str, str]:
    """The last column of the table that is there."""
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([\d.]+|–) \|$", text, re.M)
    return dict(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--speeds", action="store_true")
    options = parser.parse_args()
    entries = [e for e in load_manifest().weights if e.figures]
    models = ROOT / "MODELS.md"
    speeds = kept_speeds(models.read_text())
    if options.speeds:
        prepare_cpu()
        speeds = {e.id: f"{seconds(e):.3f}" for e in entries}
    for path in (models, ROOT / "README.md"):
        text = path.read_text()
        full = path == models
        if not _TABLE.search(text):
            parser.error(f"{path.name}: no <!-- table --> … <!-- end -->")
        path.write_text(_TABLE.sub(lambda _, f=full: table(entries, speeds, full=f), text))


if __name__ == "__main__":
    main()
