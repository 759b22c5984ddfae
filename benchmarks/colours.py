"""How far flat colours of clips are off, in all combinations of matrix, range, layout and depth.

    python benchmarks/colours.py [--model MODEL] [--scale 2]

Each combination is a lossless clip of flat colours, upscaled by `sr upscale --lossless`; without a
model, by bicubic at the same size. Printed is the largest difference between what a correct player
shows of the clip and of the result, in levels of 8 bits, over the layouts 4:2:0, 4:2:2 and 4:4:4:
of all values, and of those within RGB's limits. `moved` is by how many integers of video a plane
moved at most.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sr_cli import UpscaleOptions, upscale_files

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from helpers.clips import Made, frames_of, plane_of, rgb_of, yuv_of

COLOURS = [
    *itertools.product((0, 128, 255), repeat=3),
    *((200, 30, 60), (10, 240, 90), (40, 60, 250), (208, 255, 177), (88, 0, 170), (190, 0, 225)),
    *((255, 255, 196), (168, 0, 166), (255, 255, 124)),
]
MATRICES = {"BT.601": 6, "BT.709": 1, "BT.2020": 9}


def values_of(path: Path) -> list[list[list[int]]]:
    """The smallest and the largest integer of each plane, for each frame."""
    found = []
    for frame in frames_of(path):
        planes = [plane_of(frame, index) for index in range(3)]
        found.append([[int(p.min()) for p in planes], [int(p.max()) for p in planes]])
    return found


def compare(matrix: int, full: bool, kind: str, depth: int, options: Any, folder: Path) -> Any:
    """The largest error of all values, of values within RGB's limits, and in integers."""
    tags = {"colorspace": matrix, "color_range": 2 if full else 1}
    made = Made("ffv1", f"yuv{kind}p" + ("" if depth == 8 else "10le"), 48, 32, tags=tags)
    made.times = [500 * n for n in range(len(COLOURS))]
    source, target = folder / "a.mkv", folder / "b.mkv"
    made.write(source, [yuv_of(c, matrix, full, depth) for c in COLOURS])
    chosen = UpscaleOptions(
        lossless=True, overwrite=True, width=None if options.model else made.width
    )
    scale = options.scale if options.model else None
    (result,) = upscale_files(
        source, target, model=options.model or "bicubic", scale=scale, options=chosen
    )
    assert result.status == "done", result.error
    errors = [0.0, 0.0, 0.0]
    for before, after in zip(values_of(source), values_of(target), strict=True):
        for value in after:
            shown = [rgb_of(v, matrix, full, depth) for v in (before[0], value)]
            within = [v.clip(0, 255) for v in shown]
            moved = np.subtract(before[0], value)
            for index, change in enumerate((shown[0] - shown[1], within[0] - within[1], moved)):
                errors[index] = max(errors[index], float(np.abs(change).max()))
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--scale", type=float, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for (matrix, number), full, depth in itertools.product(
            MATRICES.items(), (False, True), (8, 10)
        ):
            found = [
                compare(number, full, kind, depth, options, Path(name))
                for kind in ("420", "422", "444")
            ]
            unclipped, shown, moved = np.max(found, axis=0)
            print(
                f"{matrix:8s} {'full' if full else 'limited':8s} {depth:2d} bits  "
                f"{unclipped:.2f}  within RGB {shown:.2f}  moved {moved:.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
