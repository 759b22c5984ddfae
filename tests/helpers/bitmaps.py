"""BMP files of every kind, written byte by byte."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

INFO, V3, V4, V5 = 40, 56, 108, 124
"""Sizes of headers; 12 and 16 to 64 are those of OS/2."""


def bitmap(
    body: bytes,
    width: int,
    height: int,
    bits: int,
    *,
    header: int = INFO,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    palette: NDArray[np.uint8] | None = None,
    profile: bytes = b"",
) -> bytes:
    """A BMP file.

    Args:
        body: The stored pixels.
        width, height: In pixels; a negative height stores the top row first.
        bits: Per pixel.
        header: The size of the header.
        compression: A value of Compression.
        masks: Of red, green, blue and alpha: in the header, or after it if it has no room.
        palette: (n, 3) RGB.
        profile: Embedded after the pixels.
    """
    if header == 12:
        head = struct.pack("<I4H", header, width, height, 1, bits)
    else:
        stored = struct.pack(
            "<IiiHHIIiiII", header, width, height, 1, bits, compression, len(body), 3937, 3937,
            0 if palette is None else len(palette), 0,
        )  # fmt: skip
        packed = struct.pack(f"<{len(masks)}I", *masks)
        head = stored[:header] if header < INFO else (stored + packed).ljust(header, b"\0")
    if palette is not None:
        entry = np.zeros((len(palette), 3 if header == 12 else 4), np.uint8)
        entry[:, :3] = palette[:, ::-1]
        head += entry.tobytes()
    if profile:
        place = struct.pack("<II", len(head) + len(body), len(profile))
        head = head[:56] + struct.pack("<I", 0x4D424544) + head[60:112] + place + head[120:]
    start = 14 + len(head)
    size = start + len(body) + len(profile)
    return struct.pack("<2sIHHI", b"BM", size, 0, 0, start) + head + body + profile


def packed_rows(rows: NDArray[np.uint8], bits: int) -> bytes:
    """Indices of 1 to 8 bits, or (h, w, 3) BGR, as rows that fill 32 bits, bottom-up."""
    if rows.ndim == 2:
        wide = np.unpackbits(rows[..., None], axis=2)[..., 8 - bits :]
        rows = np.packbits(wide.reshape(len(rows), -1), axis=1)
    rows = rows.reshape(len(rows), -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes()
