"""A BMP writer: 24 bits, or 32 with alpha."""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.codecs.bmp_header import BI_BITFIELDS, METRES_PER_INCH, V4
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Frame, Metadata, Picture

_ROWS = 64
_FILE_HEADER = 14
_SRGB = 0x73524742
"""LCS_sRGB, a value of CSType ([MS-WMF] 2.1.1.14)."""


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one 8-bit frame with its resolution."""
    frame = picture.frames[0]
    if frame.alpha is not None:
        _write_alpha(frame, file, metadata.dpi or (0, 0))
        return []
    options = {"dpi": metadata.dpi} if metadata.dpi else {}
    pillow.save(pillow.to_images(picture), file, "BMP", options)
    return []


def _write_alpha(frame: Frame, file: BinaryIO, dpi: tuple[float, float]) -> None:
    """Write 32 bits per pixel with a V4 header, the first that has a mask for alpha.

    [MS-WMF] 2.2.2.4; Windows and other programs ignore alpha behind shorter headers.
    """
    size = frame.width * frame.height * 4
    start = _FILE_HEADER + V4
    file.write(struct.pack("<2sIHHI", b"BM", start + size, 0, 0, start))
    across, down = (round(value / METRES_PER_INCH) for value in dpi)
    info = (V4, frame.width, frame.height, 1, 32, BI_BITFIELDS, size, across, down, 0, 0)
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000, _SRGB)
    file.write(struct.pack("<IiiHHIIiiII", *info) + struct.pack("<5I", *masks))
    file.write(bytes(start - file.tell()))
    for stop in range(frame.height, 0, -_ROWS):
        rows = slice(max(0, stop - _ROWS), stop)
        colour, alpha = frame.pixels[rows], frame.alpha
        assert alpha is not None
        blue_first = [colour] * 3 if colour.ndim == 2 else [colour[..., ::-1]]
        file.write(np.dstack([*blue_first, alpha[rows]])[::-1].tobytes())
