"""Run-length encoded pixels of BMP files ([MS-WMF] 3.1.6), and the 24-bit kind of OS/2 2.x."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_END_OF_LINE, _END, _DELTA = 0, 1, 2
"""What the second byte means after a zero; larger values count literal pixels."""


def decode_runs(body: bytes, height: int, width: int, bits: int) -> tuple[NDArray[np.uint8], bool]:
    """Decode runs.

    Pixels that the file skips are 0, and those beyond the end of a row are ignored.

    Args:
        body: The encoded pixels, whatever follows them.
        height, width: In pixels.
        bits: 4, 8 or 24 per pixel.

    Returns:
        (height, width) indices or (height, width, 3) BGR in the order of the file, and whether
        the file said where they end.
    """
    size = 3 if bits == 24 else 1
    flat = bytearray(height * width * size)
    x = y = at = 0
    while y < height and at + 1 < len(body):
        count, value = body[at], body[at + 1]
        at += 2
        if count == 0 and value <= _DELTA:
            if value == _END:
                return _shaped(flat, height, size), True
            if value == _END_OF_LINE:
                x, y = 0, y + 1
            elif at + 1 < len(body):
                x, y, at = x + body[at], y + body[at + 1], at + 2
            continue
        if count:
            length, used = count, 0 if bits < 24 else 2
            pixels = _repeated(body[at - 1 : at - 1 + size], count, bits)
        else:
            length, used = value, (value * bits + 7) // 8
            pixels = _literal(body[at : at + used], value, bits)
            used += used % 2
        at += used
        shown = min(length, width - x, len(pixels) // size)
        if shown > 0:
            start = (y * width + x) * size
            flat[start : start + shown * size] = pixels[: shown * size]
        x += length
    return _shaped(flat, height, size), y >= height


def _repeated(value: bytes, count: int, bits: int) -> bytes:
    """`count` equal pixels; with 4 bits, two that alternate."""
    if bits == 4:
        return (bytes([value[0] >> 4, value[0] & 15]) * (count // 2 + 1))[:count]
    return value * count


def _literal(packed: bytes, count: int, bits: int) -> bytes:
    """`count` pixels that are written out."""
    if bits != 4:
        return packed
    both = np.frombuffer(packed, np.uint8)
    return np.stack([both >> 4, both & 15], axis=1).tobytes()[:count]


def _shaped(flat: bytearray, height: int, size: int) -> NDArray[np.uint8]:
    pixels = np.frombuffer(flat, np.uint8)
    return pixels.reshape((height, -1) if size == 1 else (height, -1, size))
