"""Peak memory of `sr upscale` on large images, next to what it may take.

    python benchmarks/memory.py [--model espcn --width 6000 --height 4000] [--format png]
    python benchmarks/memory.py --sixteen-bit --width 3000 --height 2000
    python benchmarks/memory.py --width 3000 --height 2000 -- --compare

The bound: 1.3 x (decoded input + output) + 1.2 GB of resident memory, for the whole process. A
comparison (--compare) is an output of its own, twice as wide.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SCALE = 4


def large_picture(path: Path, width: int, height: int, sixteen_bit: bool) -> None:
    """An image with detail everywhere, from waves and noise."""
    random = np.random.default_rng(0)
    patch = random.integers(0, 60, (512, 512, 3))
    y, x = np.mgrid[0:512, 0:512]
    waves = 97 + 60 * np.sin(x / 9)[..., None] + 40 * np.sin(y / 23)[..., None]
    tile = (patch + waves).clip(0, 255).astype(np.uint8)
    repeats = (-(-height // 512), -(-width // 512), 1)
    picture = np.tile(tile, repeats)[:height, :width]
    if sixteen_bit:
        picture = picture.astype(np.uint16) * 257
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="espcn")
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--format", default="png")
    parser.add_argument("--sixteen-bit", action="store_true")
    parser.add_argument("rest", nargs="*", help="options for `sr upscale`, after --")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.png"
        large_picture(source, options.width, options.height, options.sixteen_bit)
        command = [sys.executable, "-m", "sr_cli", "upscale", str(source), "-m", options.model]
        command += [
            f"-x{SCALE}",
            "-f",
            options.format,
            "-o",
            str(Path(folder) / f"out.{options.format}"),
            *options.rest,
        ]
        began = time.perf_counter()
        process = subprocess.Popen([*command, "--quiet"])
        peak = watch(process)
        seconds = time.perf_counter() - began
        if process.returncode:
            raise SystemExit("sr upscale failed")
    decoded = options.width * options.height * 3 * (2 if options.sixteen_bit else 1)
    results = 3 if "--compare" in options.rest else 1
    allowed = 1.3 * (decoded + results * decoded * SCALE**2) + 1.2e9
    print(
        f"{options.model} x{SCALE}, {options.width}x{options.height} -> "
        f"{' '.join([options.format, *options.rest])}: "
        f"peak {peak / 1e9:.2f} GB of {allowed / 1e9:.2f} GB allowed, {seconds:.0f} s"
    )


def watch(process: subprocess.Popen[bytes]) -> int:
    """The process's peak resident memory in bytes (Linux: VmHWM)."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
        if lines:
            peak = int(lines[0].split()[1]) * 1024
        time.sleep(0.05)
    process.wait()
    return peak


if __name__ == "__main__":
    main()
