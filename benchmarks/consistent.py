"""What `--consistent` does to PSNR-Y and to the deviation, on sets of hr images.

    python benchmarks/consistent.py SET [SET …] --model espcn --scale 2

Each image is reduced with MATLAB's bicubic and upscaled as RGB in float32, without and with the
projection.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sr_cli import find_deviation, upscale_image
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET", help="folder of hr images")
    parser.add_argument("--model", default="espcn")
    parser.add_argument("--scale", type=int, default=2)
    options = parser.parse_args()
    scale = options.scale
    names, rows = [], []
    for path in sorted(p for folder in options.sets for p in folder.iterdir() if p.is_file()):
        pixels = read_picture(path).frames[0].pixels
        hr = crop_to_multiple(pixels if pixels.ndim == 3 else np.dstack([pixels] * 3), scale)
        lr = downscale_bicubic(hr, scale)
        row: list[float] = []
        for consistent in (False, True):
            sr = upscale_image(
                lr, model=options.model, scale=scale, precision="fp32", consistent=consistent
            )
            found = find_deviation(lr, sr)
            row += [psnr_y(sr, hr, border=scale), found.largest, found.mean]
        names.append(path.stem)
        rows.append(row)
    table = np.array(rows)
    gain = table[:, 3] - table[:, 0]
    print(
        f"{options.model} x{scale}, {len(table)} images: "
        f"PSNR-Y {table[:, 0].mean():.2f} -> {table[:, 3].mean():.2f} dB "
        f"({names[int(gain.argmin())]} {gain.min():+.4f} to "
        f"{names[int(gain.argmax())]} {gain.max():+.4f}), "
        f"largest deviation {table[:, 1].max():.1f} -> {table[:, 4].max():.2f}, "
        f"mean {table[:, 2].mean():.2f} -> {table[:, 5].mean():.3f} of 255"
    )


if __name__ == "__main__":
    main()
