"""The headers of BMP files: Windows 2 to 5, and OS/2.

They are in [MS-WMF] 2.2.2.2 (core), 2.2.2.3 (info), 2.2.2.4 (V4) and 2.2.2.5 (V5). Those of OS/2
2.x begin as the info header, and have 16 to 64 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import SrError

BI_RGB, BI_RLE8, BI_RLE4, BI_BITFIELDS, BI_JPEG, BI_PNG, BI_ALPHABITFIELDS = range(7)
OS2_HUFFMAN, OS2_RLE24 = -3, -4
"""Values of Compression ([MS-WMF] 2.1.1.7); those that OS/2 2.x defines otherwise are negated."""

CORE, INFO, WITH_ALPHA, V4, V5 = 12, 40, 56, 108, 124
"""Sizes of headers; that of 56 bytes is the shortest with a mask for alpha."""

_WINDOWS = (INFO, 52, WITH_ALPHA, V4, V5)
_AT = 14
"""Where the header begins, after that of the file."""

_EMBEDDED_PROFILE = 0x4D424544
"""PROFILE_EMBEDDED, a value of CSType ([MS-WMF] 2.1.1.14)."""

_CALIBRATED_RGB = 0
"""LCS_CALIBRATED_RGB, the value for endpoints and gamma."""

_D65 = (0.3127, 0.3290)

METRES_PER_INCH = 0.0254


@dataclass(frozen=True)
class Header:
    """The headers of a BMP.

    Attributes:
        width, height: In pixels.
        top_down: Whether the first row is the top one.
        bits: Per pixel.
        compression: A value of Compression.
        masks: Of red, green, blue and alpha; 0 for a channel that is not there.
        palette: (256, 3) RGB; colours that are not defined are black.
        pixels_at: The offset of the pixels in the file.
        dpi: Horizontal and vertical resolution.
        icc: The embedded profile.
        colour: Endpoints and gamma, as the PNG chunks cHRM and gAMA, by name.
    """

    width: int
    height: int
    top_down: bool
    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    palette: NDArray[np.uint8]
    pixels_at: int
    dpi: tuple[float, float] | None
    icc: bytes | None
    colour: dict[bytes, bytes]


def read_header(data: bytes) -> Header:
    """Read the headers of a file.

    Raises:
        SrError: `damaged-image`, `unsupported-image`.
    """
    if len(data) < _AT + CORE:
        raise SrError("damaged-image", reason="the header is cut off")
    pixels_at, size = struct.unpack_from("<II", data, 10)
    if size == CORE:
        width, height, _, bits = struct.unpack_from("<4H", data, _AT + 4)
        compression = across = down = used = 0
    elif 16 <= size <= 64 or size in _WINDOWS:
        # What a short header leaves out is 0.
        fields = data[_AT : _AT + min(size, INFO)].ljust(INFO, b"\0")
        _, width, height, _, bits, compression, _, across, down, used, _ = struct.unpack(
            "<IiiHHIIiiII", fields
        )
    else:
        raise SrError("unsupported-image", format="BMP")
    if width < 1 or height == 0 or pixels_at > len(data):
        raise SrError("damaged-image", reason="the header is not valid")
    # Windows defines 3 and 4 for other kinds of pixels than OS/2.
    if (bits, compression) in ((1, 3), (24, 4)) or (size not in _WINDOWS and compression > 2):
        compression = -compression
    masks = _masks(data, size, bits, compression)
    after = {BI_BITFIELDS: 12, BI_ALPHABITFIELDS: 16}.get(compression, 0) if size == INFO else 0
    colours = data[_AT + size + after : pixels_at]
    return Header(
        width=width,
        height=abs(height),
        top_down=height < 0,
        bits=bits,
        compression=compression,
        masks=masks,
        palette=_palette(colours, 3 if size == CORE else 4, used),
        pixels_at=pixels_at,
        dpi=(across * METRES_PER_INCH, down * METRES_PER_INCH) if across > 0 < down else None,
        icc=_profile(data) if size == V5 else None,
        colour=_calibration(data) if size in (V4, V5) else {},
    )


def _masks(data: bytes, size: int, bits: int, compression: int) -> tuple[int, int, int, int]:
    """The masks of the channels, those after an info header too."""
    default = (0x7C00, 0x03E0, 0x001F) if bits == 16 else (0xFF0000, 0xFF00, 0xFF)
    stored = struct.unpack("<4I", data[_AT + INFO : _AT + WITH_ALPHA].ljust(16, b"\0"))
    has_alpha = size >= WITH_ALPHA if size in _WINDOWS else False
    alpha = stored[3] if has_alpha or compression == BI_ALPHABITFIELDS else 0
    red, green, blue = stored[:3] if compression in (BI_BITFIELDS, BI_ALPHABITFIELDS) else default
    return red, green, blue, alpha


def _palette(colours: bytes, entry: int, used: int) -> NDArray[np.uint8]:
    """The colours, BGR or BGRX, that have room between header and pixels."""
    count = min(len(colours) // entry, used or 256, 256)
    found = np.frombuffer(colours[: count * entry], np.uint8).reshape(count, entry)
    palette = np.zeros((256, 3), np.uint8)
    palette[:count] = found[:, 2::-1]
    return palette


def _profile(data: bytes) -> bytes | None:
    """The profile embedded in a file with a V5 header; a path to one is ignored."""
    (kind,) = struct.unpack_from("<I", data, _AT + 56)
    if kind != _EMBEDDED_PROFILE or len(data) < _AT + V5:
        return None
    start, length = struct.unpack_from("<II", data, _AT + 112)
    return data[_AT + start : _AT + start + length] or None


def _calibration(data: bytes) -> dict[bytes, bytes]:
    """Endpoints and gamma of a V4 header; nothing if they are 0 or describe no colours."""
    if len(data) < _AT + V4:
        return {}
    kind, *numbers = struct.unpack_from("<I9i3I", data, _AT + 56)
    ends = np.array(numbers[:9]).reshape(3, 3) / 2**30
    gammas = [number / 2**16 for number in numbers[9:]]
    if kind != _CALIBRATED_RGB or ends.min() < 0 or ends[:, 1].min() <= 0:
        return {}
    corners = ends[:, :2] / ends.sum(1, keepdims=True)
    # Most programs store chromaticities, which say nothing of white, instead of CIE XYZ.
    is_normal = bool(np.abs(ends.sum(1) - 1).max() < 0.01)
    white = _D65 if is_normal else ends.sum(0)[:2] / ends.sum()
    units = np.rint(np.vstack([white, corners]) * 100_000).astype(int).ravel()
    found = {b"cHRM": struct.pack(">8I", *(int(unit) for unit in units))}
    # There is one gAMA for all channels.
    if gammas[0] == gammas[1] == gammas[2] and 0.1 < gammas[0] < 10:
        found[b"gAMA"] = round(100_000 / gammas[0]).to_bytes(4, "big")
    return found
