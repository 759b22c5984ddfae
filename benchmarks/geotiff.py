"""Peak memory of `sr upscale` on GeoTIFF files that are read and written in windows.

    python benchmarks/geotiff.py [--model bicubic --width 20000 --height 20000]
    python benchmarks/geotiff.py --model espcn --width 4000 --height 4000
    python benchmarks/geotiff.py --verdicts

The file is uint16, tiled, Deflate, with a border of nodata and overviews. rasterio (extra dev)
writes it, and judges the result: bounds, coordinate system, nodata, overviews, and of every pixel
whether it has a value. With `--verdicts`, it judges a small file for each feature of the format.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from geotiff_verdicts import is_bigtiff, print_verdicts
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.windows import Window

_BLOCK = 512
_ROWS = 128


def write_scene(path: Path, width: int, height: int, bands: int, compress: str) -> None:
    """A scene with detail everywhere, written block by block."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:_BLOCK, :_BLOCK]
    waves = 1500 + 600 * np.sin(x / 9) + 400 * np.sin(y / 23)
    profile: dict[str, Any] = {
        "driver": "GTiff", "width": width, "height": height, "count": bands,
        "dtype": "uint16",
        "crs": "EPSG:32633", "transform": from_origin(500_000, 5_400_000, 10, 10), "nodata": 0,
        "tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": compress,
        "bigtiff": "if_safer",
    }  # fmt: skip
    if compress != "none":
        profile["predictor"] = 2
    if bands == 3:
        profile["photometric"] = "rgb"
    with rasterio.open(path, "w", **profile) as file:
        for top in range(0, height, _BLOCK):
            for left in range(0, width, _BLOCK):
                h, w = min(_BLOCK, height - top), min(_BLOCK, width - left)
                block = (waves + random.normal(0, 30, waves.shape))[:h, :w].astype(np.uint16)
                # A border without values, as scenes of satellites have it.
                block[(x + left + y + top)[:h, :w] < width // 3] = 0
                file.write(np.stack([block] * bands), window=Window(left, top, w, h))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8, 16], Resampling.average)


def check(source: Path, result: Path, scale: int) -> None:
    """Let rasterio say whether the result lies where the source does."""
    with rasterio.open(source) as a, rasterio.open(result) as b:
        assert (b.width, b.height) == (a.width * scale, a.height * scale)
        assert tuple(b.bounds) == tuple(a.bounds) and b.crs == a.crs
        assert b.nodatavals == a.nodatavals and b.overviews(1) == a.overviews(1)
        for top in range(0, a.height, _ROWS):
            rows = Window(0, top, a.width, min(_ROWS, a.height - top))
            larger = Window(*(scale * n for n in rows.flatten()))
            before, after = ((f.read(window=w) == 0).all(0) for f, w in ((a, rows), (b, larger)))
            assert np.array_equal(after, before.repeat(scale, 0).repeat(scale, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bicubic")
    parser.add_argument("--width", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--bands", type=int, default=1)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--compress", default="deflate", help="as GDAL names it; none")
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--verdicts", action="store_true", help="a table of rasterio's verdicts")
    options = parser.parse_args()
    if options.verdicts:
        print_verdicts()
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        source, result = Path(folder) / "in.tif", Path(folder) / "out.tif"
        write_scene(source, options.width, options.height, options.bands, options.compress)
        command = [sys.executable, "-m", "sr_cli", "upscale", str(source), "-o", str(result)]
        command += ["-m", options.model, f"-x{options.scale}", "--quiet"]
        began = time.perf_counter()
        process = subprocess.Popen(command)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            raise SystemExit("sr upscale failed")
        check(source, result, options.scale)
        kind = "BigTIFF" if is_bigtiff(result) else "classic TIFF"
        sizes = [path.stat().st_size / 1e9 for path in (source, result)]
    samples = options.width * options.height * options.bands * 2
    print(
        f"{options.model} x{options.scale}, {options.width}x{options.height}x{options.bands}: "
        f"peak {usage.ru_maxrss * 1024 / 1e9:.2f} GB, {seconds:.0f} s "
        f"({usage.ru_utime + usage.ru_stime:.0f} s of processors); decoded "
        f"{samples / 1e9:.1f} -> {samples * options.scale**2 / 1e9:.1f} GB, "
        f"files {sizes[0]:.1f} -> {sizes[1]:.1f} GB ({kind})"
    )


if __name__ == "__main__":
    main()
