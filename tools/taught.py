"""Pairs from which a network learns what a self-ensemble makes: less noise than true images.

    python tools/taught.py edsr-baseline-x4 --data photos/ -o taught/
    sr train --recipe edsr-baseline-x4 --init edsr-baseline-x4 --data taught/ --val taught/val

taught/lr: bicubic lr of --count images, each cut to --side pixels; taught/hr: the mean of the
network's eight flips and rotations of it (EDSR, section 3.4), which is better than the network, and
which it can learn to make at once. Where that mean is no better (dithered pixels, patterns), the
pair keeps the true image. --truth 0.2 moves each hr a fifth of the way to the true image, so
that the network goes beyond itself. --rescale 0.5 0.9 makes images smaller first, each by a
factor drawn between the two: more detail to a pixel, and less of what a lossy file lost.
taught/val: whole images that no pair is from, those that `sr train` would hold back from --data.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from sr_cli.engine.device import prepare_cpu
from sr_cli.engine.upscaler import Upscaler
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic, resize_bicubic
from sr_cli.registry.ref import load_model
from sr_cli.training.images import find_sources, hold_back

HELD_BACK = 0.02
MIN_SIDE = 96
"""Of a rescaled image, in pixels, so that there is something to learn from at x4."""


def aim(true: np.ndarray, made: np.ndarray, ensemble: np.ndarray, *, truth: float) -> np.ndarray:
    """What to learn, (h, w, 3) uint8: the ensemble's image, `true` where it is no better."""
    before, after = (np.mean((sr.astype(np.float32) - true) ** 2) for sr in (made, ensemble))
    if after >= before:
        return true
    leant: np.ndarray = np.rint(ensemble + truth * (true - ensemble.astype(np.float32)))
    return leant.astype(np.uint8)


def rescaled(hr: np.ndarray, factor: float) -> np.ndarray:
    """`hr` (h, w, 3) uint8 with both sides times `factor`, its shorter one at least MIN_SIDE."""
    h, w = hr.shape[:2]
    factor = max(factor, min(1, MIN_SIDE / min(h, w)))
    return hr if factor == 1 else resize_bicubic(hr, round(h * factor), round(w * factor))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", help="a trained network: id or file")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--count", type=int, default=192, help="images, drawn by chance")
    parser.add_argument("--side", type=int, default=128, help="of a crop, in lr pixels")
    parser.add_argument("--scale", type=int)
    parser.add_argument("--truth", type=float, default=0.0, help="share of the true image")
    parser.add_argument("--rescale", type=float, nargs=2, default=(1.0, 1.0), help="factors on hr")
    parser.add_argument("--seed", type=int, default=0, help="other images, other crops")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    prepare_cpu()
    loaded = load_model(options.model, scale=options.scale)
    network, teacher = Upscaler(loaded), Upscaler(loaded, tta=True)
    files = [source.hr for source in find_sources(options.data, scale=None)]
    train, held_back = hold_back(files, HELD_BACK)
    for name in ("lr", "hr", "val"):
        (options.output / name).mkdir(parents=True, exist_ok=True)
    for file in held_back:
        shutil.copy(file, options.output / "val")
    random = np.random.default_rng(options.seed)
    side = options.side * network.scale
    for number in random.permutation(len(train))[: options.count]:
        hr = opaque_8_bit(read_picture(train[number]).frames[0])
        hr = rescaled(hr, random.uniform(*options.rescale))
        y, x = (int(random.integers(max(n - side, 0) + 1)) for n in hr.shape[:2])
        true = crop_to_multiple(hr[y : y + side, x : x + side], network.scale)
        lr = downscale_bicubic(true, network.scale)
        target = aim(true, network(lr), teacher(lr), truth=options.truth)
        file = f"{train[number].stem}-{number}.png"
        for name, pixels in (("lr", lr), ("hr", target)):
            Image.fromarray(pixels).save(options.output / name / file)
        print(train[number].name, flush=True)


if __name__ == "__main__":
    main()
