"""Make a test set of damaged photographs: blur, noise and JPEG on reduced images.

    python benchmarks/degraded.py BSD100/ degraded/ [--scale 4] [--seed 0]
    sr benchmark --hr degraded/hr --lr degraded/lr -x4 -m photo -m srgan -m bicubic --lpips alex

Each image is blurred (Gaussian, sigma 0.2 to 2 pixels), reduced by bicubic, gets Gaussian noise
(sigma 1 to 10 of 255, in half of them the same in all channels) and goes through JPEG (4:2:0,
quality 30 to 70). The same seed makes the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sr_cli.imaging.resize import downscale_bicubic

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".webp", ".avif")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("originals", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = sorted(p for p in options.originals.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"{options.originals}: no images")
    random = np.random.default_rng(options.seed)
    for kind in ("hr", "lr"):
        (options.output / kind).mkdir(parents=True, exist_ok=True)
    for path in found:
        hr = np.asarray(Image.open(path).convert("RGB"))
        hr = hr[: hr.shape[0] // options.scale * options.scale]
        hr = np.ascontiguousarray(hr[:, : hr.shape[1] // options.scale * options.scale])
        blurred = cv2.GaussianBlur(hr, (0, 0), random.uniform(0.2, 2.0))
        lr = downscale_bicubic(np.asarray(blurred, np.uint8), options.scale).astype(np.float32)
        channels = 1 if random.random() < 0.5 else 3
        lr += random.standard_normal((*lr.shape[:2], channels)) * random.uniform(1, 10)
        Image.fromarray(hr).save(options.output / "hr" / f"{path.stem}.png")
        damaged = Image.fromarray(np.clip(np.round(lr), 0, 255).astype(np.uint8))
        quality = int(random.integers(30, 71))
        damaged.save(options.output / "lr" / f"{path.stem}.jpg", quality=quality)
    print(f"{len(found)} images: {options.output / 'hr'}, {options.output / 'lr'}")


if __name__ == "__main__":
    main()
