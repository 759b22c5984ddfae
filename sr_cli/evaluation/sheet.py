"""`--compare`: the same crop through every model, in one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr_cli.imaging.colour import luma

Pixels = NDArray[np.uint8]

_ENLARGED = 3
_GAP, _LABEL = 6, 22
_COLUMNS = 4
REGIONS = ("differ", "edges", "texture")


def find_region(pictures: Sequence[Pixels], hr: Pixels, side: int, region: str) -> tuple[int, int]:
    """Top and left of the side x side crop to show.

    region: `differ` (where the pictures differ most among themselves), `edges` (strongest
    gradients of the original) or `texture` (most local variance without strong edges).
    """
    if region == "differ":
        lumas = np.stack([_luma(p) for p in pictures])
        interest = lumas.std(0)
    else:
        y = _luma(hr)
        gx, gy = cv2.Sobel(y, cv2.CV_64F, 1, 0), cv2.Sobel(y, cv2.CV_64F, 0, 1)
        strength: Any = np.hypot(gx, gy)
        interest = strength if region == "edges" else np.minimum(strength, np.median(strength) * 3)
    height, width = interest.shape
    side = min(side, height, width)
    window = cv2.boxFilter(
        interest, -1, (side, side), anchor=(0, 0), normalize=True, borderType=cv2.BORDER_REFLECT
    )
    inner = window[: height - side + 1, : width - side + 1]
    top, left = np.unravel_index(int(np.argmax(inner)), inner.shape)
    return int(top), int(left)


def _luma(picture: Pixels) -> NDArray[np.float64]:
    return picture.astype(np.float64) if picture.ndim == 2 else luma(picture)


def crop_sheet(
    named: Sequence[tuple[str, Pixels]], hr: Pixels, place: tuple[int, int], side: int
) -> Image.Image:
    """The crop of each picture, each pixel as a square, under its name; the original first."""
    top, left = place
    cells = []
    for name, picture in [("ground truth", hr), *named]:
        cut = picture[top : top + side, left : left + side]
        cut = cut if cut.ndim == 3 else np.dstack([cut] * 3)
        cells.append((name, cut.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)))
    h, w = cells[0][1].shape[:2]
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (w + _GAP), rows * (h + _LABEL + _GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (name, cut) in enumerate(cells):
        x, y = number % columns * (w + _GAP), number // columns * (h + _LABEL + _GAP)
        draw.text((x + 2, y + 3), name, fill="black", font=ImageFont.load_default(13))
        sheet.paste(Image.fromarray(np.ascontiguousarray(cut)), (x, y + _LABEL))
    return sheet
