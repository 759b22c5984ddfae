"""BMP of every kind that Windows and OS/2 define, except Huffman codes, with alpha."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.codecs.bmp_header import (
    BI_JPEG,
    BI_PNG,
    BI_RLE4,
    BI_RLE8,
    OS2_HUFFMAN,
    OS2_RLE24,
    Header,
    read_header,
)
from sr_cli.imaging.codecs.bmp_runs import decode_runs
from sr_cli.imaging.formats import check_pixels
from sr_cli.imaging.picture import Frame, Metadata, Picture

_RUNS = {BI_RLE4: 4, BI_RLE8: 8, OS2_RLE24: 24}
"""Bits per pixel of run-length encoded files."""

_ONE = 8192
"""1.0 in 64-bit files, which are BGRA of linear light with 13 fractional bits."""

_ROWS = 64


def read(data: bytes, max_pixels: int, *, allow_truncated: bool) -> Picture:
    """Decode a BMP.

    Args:
        data: The file.
        max_pixels: The most pixels that it may have.
        allow_truncated: Whether missing pixels are 0; otherwise they are an error.

    Returns:
        8 bits per channel, with a note if there were more.

    Raises:
        SrError: `too-many-pixels`, `damaged-image`, `unsupported-image`.
    """
    head = read_header(data)
    check_pixels(head.width * head.height, max_pixels)
    body = data[head.pixels_at :]
    picture = Picture([], "BMP", Metadata(dpi=head.dpi, icc=head.icc, png_colour=head.colour))
    if head.compression in (BI_JPEG, BI_PNG):
        picture.frames = [_read_embedded(body, max_pixels)]
        return picture
    if not allow_truncated and head.compression not in _RUNS and len(body) < _needed(head):
        raise SrError("damaged-image", hint="allow-truncated", reason="pixels are missing")
    if head.bits == 64:
        frame, bits = _read_linear(body, head), 16
    elif head.bits in (16, 32):
        frame, bits = _read_masked(body, head), max(mask.bit_count() for mask in head.masks)
    else:
        frame, bits = _read_colours(body, head, allow_truncated), 8
    if bits > 8:
        picture.notes.append(Note("depth-reduced", {"bits": bits}))
    if not head.top_down:
        frame.pixels = np.ascontiguousarray(frame.pixels[::-1])
        frame.alpha = None if frame.alpha is None else np.ascontiguousarray(frame.alpha[::-1])
    picture.frames = [frame]
    return picture


def _read_embedded(body: bytes, max_pixels: int) -> Frame:
    """Decode the JPEG or PNG that a BMP may contain instead of pixels."""
    with Image.open(io.BytesIO(body), formats=["JPEG", "PNG"]) as image:
        check_pixels(image.width * image.height, max_pixels)
        image.load()
        return pillow.to_frame(image, None)[0]


def _read_colours(body: bytes, head: Header, allow_truncated: bool) -> Frame:
    """Decode pixels of 1 to 8 bits, which are indices of colours, or of 24 bits."""
    if head.compression in _RUNS:
        pixels, ended = decode_runs(body, head.height, head.width, _RUNS[head.compression])
        if not ended and not allow_truncated:
            raise SrError("damaged-image", hint="allow-truncated", reason="pixels are missing")
    elif head.compression == OS2_HUFFMAN or head.bits not in (1, 2, 4, 8, 24):
        raise SrError("unsupported-image", format="BMP")
    elif head.bits == 24:
        pixels = _rows(body, head)[:, : head.width * 3].reshape(head.height, head.width, 3)
    else:
        pixels = _unpack(_rows(body, head), head.bits)[:, : head.width]
    if pixels.ndim == 3:
        return Frame(np.ascontiguousarray(pixels[..., ::-1]))
    gray = (head.palette == head.palette[:, :1]).all() and head.icc is None
    return Frame((head.palette[:, 0] if gray else head.palette)[pixels])


def _unpack(rows: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Split bytes into indices of 1, 2, 4 or 8 bits, the upper bits first."""
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    indices: NDArray[np.uint8] = rows[..., None] >> shifts & (2**bits - 1)
    return indices.reshape(len(rows), -1)


def _read_masked(body: bytes, head: Header) -> Frame:
    """Decode pixels of 16 or 32 bits, in which masks tell the channels apart."""
    stored = _rows(body, head).view(f"<u{head.bits // 8}")[:, : head.width]
    channels = 4 if head.masks[3] else 3
    values = np.empty((head.height, head.width, channels), np.uint8)
    for y in range(0, head.height, _ROWS):
        part = stored[y : y + _ROWS].astype(np.uint64)
        for channel, mask in enumerate(head.masks[:channels]):
            low = mask & -mask
            top = mask // low if mask else 1
            values[y : y + _ROWS, :, channel] = ((part & mask) // (low or 1) * 510 + top) // (
                2 * top
            )
    return _split(values)


def _read_linear(body: bytes, head: Header) -> Frame:
    """Decode pixels of 64 bits, and encode their linear light as sRGB (IEC 61966-2-1)."""
    stored = _rows(body, head).view("<i2").reshape(head.height, head.width, 4)
    values = np.empty(stored.shape, np.uint8)
    for y in range(0, head.height, _ROWS):
        light = np.clip(stored[y : y + _ROWS, :, [2, 1, 0, 3]] / _ONE, 0, 1)
        curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        curve[..., 3] = light[..., 3]
        values[y : y + _ROWS] = curve * 255 + 0.5
    return _split(values)


def _split(values: NDArray[np.uint8]) -> Frame:
    """A frame of (h, w, 3 or 4)."""
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    return Frame(np.ascontiguousarray(values[..., :3]), alpha)


def _stride(head: Header) -> int:
    """The bytes of a row, which fills words of 32 bits."""
    return (head.width * head.bits + 31) // 32 * 4


def _needed(head: Header) -> int:
    """The bytes of all pixels, without the filling of the last row."""
    return _stride(head) * (head.height - 1) + (head.width * head.bits + 7) // 8


def _rows(body: bytes, head: Header) -> NDArray[Any]:
    """(height, stride) bytes; missing ones are 0."""
    size = _stride(head) * head.height
    found = np.frombuffer(body[:size], np.uint8)
    if len(found) < size:
        found = np.concatenate([found, np.zeros(size - len(found), np.uint8)])
    return found.reshape(head.height, -1)
