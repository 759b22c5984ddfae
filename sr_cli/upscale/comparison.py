"""`--compare`: bicubic and the result side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr_cli.engine.pipeline import BicubicPipeline
from sr_cli.imaging.conversion import opaque_8_bit, span_of
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.imaging.values import is_wide
from sr_cli.system.memory import empty_pixels
from sr_cli.upscale.earlier import LABEL_ROOM

_BAND = 256


def side_by_side(original: Picture, made: Picture) -> Picture:
    """Draw the first frame by bicubic next to the result, with labels, in 8-bit RGB.

    Args:
        original: The input.
        made: The result.
    """
    h, w = made.frames[0].pixels.shape[:2]
    sheet: NDArray[Any] = empty_pixels((h + LABEL_ROOM, 2 * w, 3), np.dtype(np.uint8))
    label = Image.new("RGB", (2 * w, LABEL_ROOM), "white")
    draw = ImageDraw.Draw(label)
    for index, name in enumerate(("bicubic", "result")):
        draw.text((index * w + 6, 5), name, fill="black", font=ImageFont.load_default(16))
    sheet[:LABEL_ROOM] = np.asarray(label)
    lr = original.frames[0]
    # The range of wide samples is that of the input on both sides.
    span = span_of(lr) if is_wide(lr.pixels.dtype) else None
    plain = BicubicPipeline().run(opaque_8_bit(lr, span), (h, w))
    for y in range(0, h, _BAND):
        rows = slice(y, min(y + _BAND, h))
        into = slice(rows.start + LABEL_ROOM, rows.stop + LABEL_ROOM)
        sheet[into, :w] = _in_colour(plain[rows])
        frame = made.frames[0]
        alpha = None if frame.alpha is None else frame.alpha[rows]
        part = Frame(frame.pixels[rows], alpha, nodata=frame.nodata)
        sheet[into, w:] = _in_colour(opaque_8_bit(part, span))
    return Picture([Frame(sheet)], made.format, made.metadata, provenance=made.provenance)


def _in_colour(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels if pixels.ndim == 3 else pixels[..., None]
