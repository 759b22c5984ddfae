"""Pictures of a training: what the network sees, how its curves run, what it makes of examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr_cli.imaging.resize import resize_bicubic
from sr_cli.system.files import atomic_write
from sr_cli.training.crops import Crops
from sr_cli.training.pictures import Pixels
from sr_cli.training.validation import Example, rounded

_PLOT = (520, 240)
_GAP = 8
_LABEL = 16
_STRIP_SIDE = 192
_MOST_ROWS = 12
_BLUE, _GREY, _INK = (31, 119, 180), (225, 225, 225), (40, 40, 40)


def preview(crops: Crops, count: int, scale: int) -> Image.Image:
    """`count` crops of the first steps: lr, each pixel enlarged to a square, beside its hr."""
    side = crops.recipe.lr_side(scale) * scale
    columns = max(1, min(4, math.isqrt(count)))
    rows = -(-count // columns)
    cell = (2 * side + _GAP, side + _GAP)
    sheet = Image.new("RGB", (columns * (cell[0] + _GAP), rows * cell[1]), "white")
    for number in range(count):
        step, index = divmod(number, crops.recipe.batch)
        lr, hr = crops.crop(step, index, scale)
        x, y = number % columns * (cell[0] + _GAP), number // columns * cell[1]
        blocks = np.ascontiguousarray(lr).repeat(scale, 0).repeat(scale, 1)
        sheet.paste(Image.fromarray(blocks), (x, y))
        sheet.paste(Image.fromarray(np.ascontiguousarray(hr)), (x + side + 2, y))
    return sheet


def strip(example: Example, sr: NDArray[Any]) -> Pixels:
    """Bicubic, the network's picture and the ground truth side by side, from the middle."""
    hr = example.hr
    plain = resize_bicubic(example.lr, hr.shape[0], hr.shape[1])
    now = rounded(sr)
    if now.shape[2] == 1:
        chroma = cv2.cvtColor(plain, cv2.COLOR_RGB2YCrCb)
        # BT.601's studio luma, spread to the full range that OpenCV has.
        chroma[..., 0] = np.clip((now[..., 0].astype(np.float32) - 16) * (255 / 219), 0, 255)
        now = np.asarray(cv2.cvtColor(chroma, cv2.COLOR_YCrCb2RGB), np.uint8)
    side = min(_STRIP_SIDE, *hr.shape[:2])
    top, left = (hr.shape[0] - side) // 2, (hr.shape[1] - side) // 2
    cut = (slice(top, top + side), slice(left, left + side))
    return np.concatenate([plain[cut], now[cut], hr[cut]], axis=1)


def add_strip(path: Path, made: Pixels) -> None:
    """The pictures so far, with one more row; a row in the middle goes when there are many."""
    rows = [made]
    if path.exists():
        with Image.open(path) as image:
            before = np.asarray(image.convert("RGB"))
        height = made.shape[0]
        if before.shape[1] == made.shape[1] and before.shape[0] % height == 0:
            rows = [*np.split(before, before.shape[0] // height), made]
    if len(rows) > _MOST_ROWS:
        del rows[len(rows) // 2]
    save_png(Image.fromarray(np.concatenate(rows)), path)


def draw_curves(records: Sequence[dict[str, Any]], strips: Path, path: Path) -> None:
    """Losses, learning rate and validation figure over the steps, the strips below them."""
    steps = [r["step"] for r in records]
    names = sorted({name for r in records for name in r.get("losses") or {}})
    series = {n: [(r["losses"] or {}).get(n) for r in records] for n in names}
    series["learning rate"] = [r.get("learning_rate") for r in records]
    series["validation PSNR-Y (dB)"] = [r.get("figure") for r in records]
    plots = [_plot(name, steps, values) for name, values in series.items()]
    width = _PLOT[0] * 2
    rows = -(-len(plots) // 2)
    below = None
    if strips.exists():
        with Image.open(strips) as image:
            below = image.convert("RGB")
        width = max(width, below.width)
    extra = 0 if below is None else below.height + _LABEL + _GAP
    sheet = Image.new("RGB", (width, rows * _PLOT[1] + extra), "white")
    for number, plot in enumerate(plots):
        sheet.paste(plot, (number % 2 * _PLOT[0], number // 2 * _PLOT[1]))
    if below is not None:
        top = rows * _PLOT[1]
        text = "bicubic, network, ground truth; older above"
        ImageDraw.Draw(sheet).text((4, top), text, fill=_INK, font=_font())
        sheet.paste(below, (0, top + _LABEL + _GAP))
    save_png(sheet, path)


def _plot(name: str, steps: Sequence[int], values: Sequence[float | None]) -> Image.Image:
    """One curve with its ends written at the axes; the losses on a logarithmic scale."""
    image = Image.new("RGB", _PLOT, "white")
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = 64, 24, _PLOT[0] - 12, _PLOT[1] - 24
    draw.rectangle((left, top, right, bottom), outline=_GREY)
    draw.text((left, 4), name, fill=_INK, font=_font())
    known = ((s, v) for s, v in zip(steps, values, strict=True) if v is not None)
    points = [(s, v) for s, v in known if math.isfinite(v)]
    logarithmic = "PSNR" not in name and all(v > 0 for _, v in points)
    if not points:
        return image
    heights = [math.log10(v) if logarithmic else v for _, v in points]
    low, high, last = min(heights), max(heights), max(1, points[-1][0])
    spread = (high - low) or 1.0
    place = [
        (
            left + (right - left) * s / last,
            bottom - (bottom - top) * ((h - low) / spread if high > low else 0.5),
        )
        for (s, _), h in zip(points, heights, strict=True)
    ]
    if len(place) > 1:
        draw.line(place, fill=_BLUE, width=1)
    for value, y in ((high, top), (low, bottom - 12)):
        shown = 10**value if logarithmic else value
        draw.text((4, y), f"{shown:.4g}", fill=_INK, font=_font())
    draw.text((right - 60, bottom + 4), f"step {last}", fill=_INK, font=_font())
    return image


def _font() -> Any:
    return ImageFont.load_default(12)


def save_png(image: Image.Image, path: Path) -> None:
    """Write atomically. Raises SrError when the place cannot be written."""
    with atomic_write(path) as file:
        image.save(file, "PNG")
