"""What `--adapt` gains on images of repeated structure, and on those of a test set.

    python benchmarks/adapt.py [IMAGE ...] [--model edsr] [--scale 2] [--adapt 60s] [--save FOLDER]

Draws images whose structure repeats at several sizes: a facade that recedes, a fabric, tiles on the
ground, a page of text. These, and the images that are named (hr), are reduced with MATLAB's bicubic
and upscaled with and without tuning. Each line has PSNR-Y before and after, the steps, and the gain
on the part that was held back; "left" if the tuned weights were not better there.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sr_cli.cli.upscale_options import parse_adaptation
from sr_cli.engine.adapt import adapt_model, with_model
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import NetworkPipeline, build_pipeline
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.registry.ref import parse_model

WIDTH, HEIGHT = 576, 432
FINE = 4
"""Images are drawn larger by this factor and reduced, so that edges lie between pixels."""

WORDS = (
    "The same letters return on every line, in several sizes, and what is legible in a "
    "heading helps where the footnotes are too small. "
)


def seen_from_the_side(flat: Any, corners: list[list[float]]) -> Any:
    """A flat drawing in perspective; corners in shares of the image, from the top left."""
    h, w = flat.shape[:2]
    size = WIDTH * FINE, HEIGHT * FINE
    source = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    target = (np.array(corners) * size).astype(np.float32)
    turned = cv2.warpPerspective(
        flat,
        cv2.getPerspectiveTransform(source, target),
        size,
        flags=cv2.INTER_AREA,
        borderValue=(150, 175, 205),
    )
    return downscale_bicubic(turned, FINE)


def facade() -> Any:
    """Windows with frames and sills in rows, smaller towards the right."""
    flat = np.full((2400, 3600, 3), (196, 172, 148), np.uint8)
    for y in range(60, 2300, 200):
        cv2.line(flat, (0, y - 30), (3600, y - 30), (170, 146, 122), 10)
        for x in range(60, 3500, 160):
            cv2.rectangle(flat, (x, y), (x + 90, y + 130), (245, 240, 230), -1)
            for part in ((x + 8, y + 8), (x + 50, y + 8), (x + 8, y + 74), (x + 50, y + 74)):
                cv2.rectangle(flat, part, (part[0] + 32, part[1] + 48), (52, 64, 84), -1)
            cv2.rectangle(flat, (x - 10, y + 134), (x + 100, y + 146), (120, 110, 100), -1)
    return seen_from_the_side(flat, [[0.02, 0.0], [0.97, 0.3], [0.97, 0.75], [0.02, 1.0]])


def fabric() -> Any:
    """A woven plaid, in perspective: threads over and under each other."""
    y, x = np.mgrid[0:2200, 0:2200]
    over = ((x // 12 + y // 12) % 4) < 2
    bands = np.array([(150, 30, 40), (20, 60, 40), (30, 40, 110), (220, 200, 160)])
    across, down = bands[(x // 132) % 4], bands[(y // 132) % 4]
    flat = np.where(over[..., None], across, down).astype(float)
    flat *= 0.75 + 0.25 * np.sin(np.where(over, x, y) * np.pi / 12)[..., None] ** 2
    return seen_from_the_side(
        flat.astype(np.uint8), [[0.12, 0.0], [0.88, 0.0], [1.2, 1.0], [-0.2, 1.0]]
    )


def ground() -> Any:
    """Tiles of two colours with joints, towards the horizon."""
    y, x = np.mgrid[0:3000, 0:3000]
    dark = ((x // 100 + y // 100) % 2 == 0)[..., None]
    flat = np.where(dark, (70, 74, 82), (205, 200, 190)).astype(np.uint8)
    flat[(x % 100 < 6) | (y % 100 < 6)] = (120, 116, 110)
    centre = np.hypot(x % 200 - 50, y % 200 - 50)
    flat[(centre > 22) & (centre < 32)] = (190, 90, 60)
    return seen_from_the_side(flat, [[0.25, 0.0], [0.75, 0.0], [1.9, 1.0], [-0.9, 1.0]])


def text() -> Any:
    """Lines of the same words, from a heading to a footnote."""
    page = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), (250, 248, 240))
    draw = ImageDraw.Draw(page)
    y, start = 20.0, 0
    for size in (44, 36, 30, 26, 22, 19, 17, 15, 13, 12, 11, 10, 9, 9, 8, 8, 8, 8, 8, 8):
        font = ImageFont.load_default(size * FINE)
        draw.text((20, y), (WORDS * 4)[start:], fill=(28, 28, 36), font=font)
        y, start = y + size * FINE * 1.3, (start + 17) % len(WORDS)
    return downscale_bicubic(np.asarray(page), FINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE")
    parser.add_argument("--model", default="edsr")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--adapt", type=parse_adaptation, default="60s")
    parser.add_argument("--drawn", nargs="*", default=["facade", "fabric", "ground", "text"])
    parser.add_argument("--save", type=Path, help="Write the images that are drawn to a folder.")
    options = parser.parse_args()
    drawings = {d.__name__: d for d in (facade, fabric, ground, text)}
    images = {name: drawings[name]() for name in options.drawn}
    for name, hr in images.items() if options.save else ():
        options.save.mkdir(parents=True, exist_ok=True)
        Image.fromarray(hr).save(options.save / f"{name}.png")
    images |= {path.stem: read_picture(path).frames[0].pixels for path in options.images}
    refs = [parse_model(options.model)]
    pipeline = build_pipeline(refs, options.scale, EngineOptions(precision="fp32"))
    assert isinstance(pipeline, NetworkPipeline)
    (model,) = pipeline.upscaler.loaded
    gains = []
    for name, image in images.items():
        hr = crop_to_multiple(image, options.scale)
        lr = downscale_bicubic(hr, options.scale)
        before = psnr_y(hr, pipeline.run(lr, hr.shape[:2]), border=options.scale)
        found = adapt_model(model, lr, options.adapt, pipeline.upscaler.device)
        tuned = with_model(pipeline, found.model) if found.model else pipeline
        after = psnr_y(hr, tuned.run(lr, hr.shape[:2]), border=options.scale)
        gains.append(after - before)
        held_back = f"{found.gain:+.3f}" if found.model else "left"
        line = f"{name:12} {before:6.2f} -> {after:6.2f}  {after - before:+.3f} dB"
        print(f"{line}  {found.steps} steps, held back {held_back}", flush=True)
    print(f"{'mean':12} {np.mean(gains):+.3f} dB")


if __name__ == "__main__":
    main()
