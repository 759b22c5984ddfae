"""Monitoring of a run: curves, strips of validation images, TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr_cli.errors import RefusedError
from sr_cli.imaging.colour import LUMA_BLACK, LUMA_RANGE
from sr_cli.imaging.resize import resize_bicubic
from sr_cli.system.files import atomic_write
from sr_cli.training.events import Progress
from sr_cli.training.images import Pixels
from sr_cli.training.validation import Example, to_uint8

_PLOT = (520, 240)
_GAP = 8
_LABEL = 16
_STRIP_SIDE = 192
_MAX_ROWS = 12
_BLUE, _GREY, _INK = (31, 119, 180), (225, 225, 225), (40, 40, 40)


def comparison_strip(example: Example, sr: NDArray[Any]) -> Pixels:
    """Crop the centre of bicubic, the network's output and the ground truth, side by side.

    Args:
        example: lr and ground truth.
        sr: (h, w, 3) RGB or (h, w, 1) luma, 0 to 255.
    """
    hr = example.hr
    bicubic = resize_bicubic(example.lr, hr.shape[0], hr.shape[1])
    network = to_uint8(sr)
    if network.shape[2] == 1:
        chroma = cv2.cvtColor(bicubic, cv2.COLOR_RGB2YCrCb)
        # BT.601 luma in studio range, expanded to OpenCV's full range.
        y = network[..., 0].astype(np.float32) / 255
        chroma[..., 0] = np.clip((y - LUMA_BLACK) * (255 / LUMA_RANGE), 0, 255)
        network = np.asarray(cv2.cvtColor(chroma, cv2.COLOR_YCrCb2RGB), np.uint8)
    side = min(_STRIP_SIDE, *hr.shape[:2])
    top, left = (hr.shape[0] - side) // 2, (hr.shape[1] - side) // 2
    cut = (slice(top, top + side), slice(left, left + side))
    return np.concatenate([bicubic[cut], network[cut], hr[cut]], axis=1)


def add_strip(path: Path, strip: Pixels) -> None:
    """Append a row to the image of strips, dropping a middle one if there are too many."""
    rows = [strip]
    if (image := _opened(path)) is not None:
        before = np.asarray(image)
        height = strip.shape[0]
        if before.shape[1] == strip.shape[1] and before.shape[0] % height == 0:
            rows = [*np.split(before, before.shape[0] // height), strip]
    if len(rows) > _MAX_ROWS:
        del rows[len(rows) // 2]
    save_png(Image.fromarray(np.concatenate(rows)), path)


def draw_curves(
    records: Sequence[dict[str, Any]], strips: Path, path: Path, *, figure: str = "PSNR-Y"
) -> None:
    """Draw losses, learning rate and validation figure over the steps, the strips below them.

    Args:
        records: Lines of the log.
        strips: The image that `add_strip` makes; it may be missing.
        path: The PNG to write.
        figure: The name of the validation figure.

    Raises:
        SrError: `unwritable-file`.
    """
    steps = [r["step"] for r in records]
    names = sorted({name for r in records for name in r.get("losses") or {}})
    series = {n: [(r["losses"] or {}).get(n) for r in records] for n in names}
    series["learning rate"] = [r.get("learning_rate") for r in records]
    series[f"validation {figure}"] = [r.get("figure") for r in records]
    plots = [_plot(name, steps, values) for name, values in series.items()]
    below = _opened(strips)
    rows = -(-len(plots) // 2)
    width = max(_PLOT[0] * 2, 0 if below is None else below.width)
    extra = 0 if below is None else below.height + _LABEL + _GAP
    sheet = Image.new("RGB", (width, rows * _PLOT[1] + extra), "white")
    for number, plot in enumerate(plots):
        sheet.paste(plot, (number % 2 * _PLOT[0], number // 2 * _PLOT[1]))
    if below is not None:
        top = rows * _PLOT[1]
        text = "bicubic, network, ground truth; latest at the bottom"
        ImageDraw.Draw(sheet).text((4, top), text, fill=_INK, font=_font())
        sheet.paste(below, (0, top + _LABEL + _GAP))
    save_png(sheet, path)


def _opened(path: Path) -> Image.Image | None:
    if not path.exists():
        return None
    with Image.open(path) as image:
        converted: Image.Image = image.convert("RGB")
        return converted


def _plot(name: str, steps: Sequence[int], values: Sequence[float | None]) -> Image.Image:
    """Plot one curve with its extremes; positive values on a logarithmic scale."""
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
    """Write a PNG atomically.

    Raises:
        SrError: `unwritable-file`.
    """
    with atomic_write(path) as file:
        image.save(file, "PNG")


class TensorBoard:
    """Writes scalars into a folder; does nothing without one.

    Args:
        folder: Where to write.
        figure: The name of the validation figure.

    Raises:
        RefusedError: `extra-missing` when TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None, figure: str = "PSNR-Y") -> None:
        self._figure = figure
        self._writer: Any = None
        if folder is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RefusedError("extra-missing", "--tensorboard", extra="tensorboard") from None
        self._writer = SummaryWriter(str(folder))

    def log(self, progress: Progress) -> None:
        """Log losses, learning rate and validation figure of the current step."""
        if self._writer is None:
            return
        values = {f"loss/{name}": value for name, value in progress.losses.items()}
        values["learning_rate"] = progress.learning_rate
        if progress.figure is not None:
            values[self._figure] = progress.figure
        for name, value in values.items():
            self._writer.add_scalar(name, value, progress.step)
        self._writer.flush()
