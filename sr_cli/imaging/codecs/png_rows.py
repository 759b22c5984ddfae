"""A PNG writer for one frame, strip by strip, for images larger than memory.

Pillow has no colour of 16 bits and holds a whole image of 8 bits; it takes as long, and its files
are as large.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.codecs.png_chunks import SIGNATURE, chunk, read_chunks
from sr_cli.imaging.picture import Frame
from sr_cli.system.memory import release_rows

LEVEL = 4
"""Of zlib: 6 takes twice the time for 1 to 3% fewer bytes."""

_STRIP_BYTES = 2 << 20
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour types by number of channels (section 11.2.1 of the PNG specification)."""

_UP, _PAETH = 2, 4
"""Filter types (section 9.2): the difference from the row above, and from a prediction."""


def write_frame(frame: Frame, file: BinaryIO, described: bytes) -> None:
    """Write a uint8 or uint16 frame, consuming its memory.

    Args:
        frame: Gray or RGB, with or without alpha.
        file: Opened for writing.
        described: A PNG of the same colour type, whose ancillary chunks are copied, before and
            after the pixels as they are there.
    """
    before, after = _ancillary_chunks(described)
    channels = (1 if frame.pixels.ndim == 2 else 3) + (frame.alpha is not None)
    deep = frame.pixels.dtype.itemsize > 1
    header = (frame.width, frame.height, 16 if deep else 8, _COLOUR_TYPE[channels], 0, 0, 0)
    file.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + before)
    # Filtered rows of 8 bits are small numbers, which Z_FILTERED compresses best.
    strategy = zlib.Z_DEFAULT_STRATEGY if deep else zlib.Z_FILTERED
    packer = zlib.compressobj(LEVEL, strategy=strategy)
    for strip in _filtered_strips(frame, channels):
        packed = packer.compress(strip.data)
        if packed:
            file.write(chunk(b"IDAT", packed))
    file.write(chunk(b"IDAT", packer.flush()) + after + chunk(b"IEND", b""))


def _filtered_strips(frame: Frame, channels: int) -> Iterator[NDArray[np.uint8]]:
    """Rows of big-endian samples, each filtered, behind the type of its filter."""
    bytes_per_pixel = channels * frame.pixels.dtype.itemsize
    above = np.zeros((1, frame.width * bytes_per_pixel), np.uint8)
    rows_per_strip = max(1, _STRIP_BYTES // above.size)
    for y in range(0, frame.height, rows_per_strip):
        strip = frame.pixels[y : y + rows_per_strip]
        if frame.alpha is not None:
            strip = np.dstack([strip, frame.alpha[y : y + rows_per_strip]])
        samples = strip.astype(strip.dtype.newbyteorder(">"), order="C", copy=False)
        rows = samples.reshape(len(strip), -1).view(np.uint8)
        up = np.concatenate([above, rows[:-1]])
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        if samples.dtype.itemsize > 1:
            filtered[:, 0] = _UP
            np.subtract(rows, up, out=filtered[:, 1:])
        else:
            filtered[:, 0] = _PAETH
            np.subtract(rows, _predicted(rows, up, bytes_per_pixel), out=filtered[:, 1:])
        above = rows[-1:].copy()
        yield filtered
        release_rows(frame.pixels, y + len(strip))


def _predicted(rows: NDArray[np.uint8], up: NDArray[np.uint8], pixel: int) -> NDArray[np.uint8]:
    """Paeth's prediction (section 9.4): of left, up and up left, what is nearest to the plane.

    Args:
        rows: Bytes of rows.
        up: Those above.
        pixel: Bytes of a pixel, by which the left ones are away.
    """
    left, up_left = np.zeros_like(rows), np.zeros_like(rows)
    left[:, pixel:], up_left[:, pixel:] = rows[:, :-pixel], up[:, :-pixel]
    # The plane is left + up - up left.
    from_left = np.subtract(up, up_left, dtype=np.int16)
    from_up = np.subtract(left, up_left, dtype=np.int16)
    from_up_left = np.abs(from_left + from_up)
    from_left, from_up = np.abs(from_left), np.abs(from_up)
    nearest = np.where(from_up <= from_up_left, up, up_left)
    left_wins = (from_left <= from_up) & (from_left <= from_up_left)
    return np.where(left_wins, left, nearest)


def _ancillary_chunks(png: bytes) -> tuple[bytes, bytes]:
    """The chunks of a PNG before and after its pixels, without IHDR, IDAT and IEND."""
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    seen_pixels = False
    for kind, content in read_chunks(png):
        seen_pixels = seen_pixels or kind == b"IDAT"
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            parts[seen_pixels].append(chunk(kind, content))
    return b"".join(parts[False]), b"".join(parts[True])
