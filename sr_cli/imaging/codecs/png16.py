"""A PNG writer for 16 bits per channel, strip by strip; Pillow has no such colour mode."""

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

_LEVEL = 4
_ROWS = 64
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
"""Colour types by number of channels (section 11.2.1 of the PNG specification)."""

_UP = 2
"""The filter of every row: the difference from the row above (section 9.2)."""


def write_frame(frame: Frame, file: BinaryIO, described: bytes) -> None:
    """Write a uint16 frame, consuming its memory.

    Args:
        frame: Gray or RGB, with or without alpha.
        file: Opened for writing.
        described: A PNG of the same colour type, whose ancillary chunks are copied, before and
            after the pixels as they are there.
    """
    before, after = _ancillary_chunks(described)
    channels = (1 if frame.pixels.ndim == 2 else 3) + (frame.alpha is not None)
    header = (frame.width, frame.height, 16, _COLOUR_TYPE[channels], 0, 0, 0)
    file.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + before)
    packer = zlib.compressobj(_LEVEL)
    for strip in _filtered_strips(frame, channels):
        packed = packer.compress(strip.tobytes())
        if packed:
            file.write(chunk(b"IDAT", packed))
    file.write(chunk(b"IDAT", packer.flush()) + after + chunk(b"IEND", b""))


def _filtered_strips(frame: Frame, channels: int) -> Iterator[NDArray[np.uint8]]:
    """Filtered rows: the filter type, then big-endian samples minus those of the row above."""
    above = np.zeros((1, frame.width * channels * 2), np.uint8)
    for y in range(0, frame.height, _ROWS):
        strip = frame.pixels[y : y + _ROWS]
        if frame.alpha is not None:
            strip = np.dstack([strip, frame.alpha[y : y + _ROWS]])
        rows = strip.astype(">u2").reshape(len(strip), -1).view(np.uint8)
        filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
        filtered[:, 0] = _UP
        filtered[:, 1:] = rows - np.concatenate([above, rows[:-1]])
        above = rows[-1:]
        yield filtered
        release_rows(frame.pixels, y + len(strip))


def _ancillary_chunks(png: bytes) -> tuple[bytes, bytes]:
    """The chunks of a PNG before and after its pixels, without IHDR, IDAT and IEND."""
    parts: dict[bool, list[bytes]] = {False: [], True: []}
    seen_pixels = False
    for kind, content in read_chunks(png):
        seen_pixels = seen_pixels or kind == b"IDAT"
        if kind not in (b"IHDR", b"IDAT", b"IEND"):
            parts[seen_pixels].append(chunk(kind, content))
    return b"".join(parts[False]), b"".join(parts[True])
