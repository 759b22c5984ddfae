"""The boxes of a JPEG XL file, and what its codestream says about the image before decoding.

Boxes are in ISO/IEC 18181-2, the headers of the codestream in ISO/IEC 18181-1, annex D.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

CODESTREAM = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_FILE_TYPE = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
_IN_FRONT = (b"JXL ", b"ftyp", b"jxll")
"""Boxes that come before all others."""

_MAX_METADATA = 64 << 20
"""The most bytes to which compressed metadata may expand."""

_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_ALPHA, _SPOT, _CFA = 0, 2, 5


@dataclass(frozen=True)
class Header:
    """What a codestream says about its image.

    Attributes:
        width, height: In pixels, upright.
        bits: Per sample of the colour channels.
        is_float: Whether samples are floating point numbers.
        is_animated: Whether it is an animation; nothing after it is known then.
        extra: The types of the channels beyond the colours; 0 is alpha.
        is_premultiplied: Whether colours are multiplied by alpha.
    """

    width: int
    height: int
    bits: int = 8
    is_float: bool = False
    is_animated: bool = False
    extra: tuple[int, ...] = ()
    is_premultiplied: bool = False

    @property
    def has_only_alpha(self) -> bool:
        """Whether no channel beyond the colours is anything but one alpha."""
        return self.extra in ((), (_ALPHA,))


def read_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The type and content of each box of a container."""
    position = 0
    while position + 8 <= len(data):
        size, start = int.from_bytes(data[position : position + 4], "big"), position + 8
        kind = data[position + 4 : start]
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        end = position + size if size else len(data)
        if end < start:
            return
        yield kind, data[start:end]
        position = end


def read_metadata_boxes(data: bytes) -> dict[bytes, bytes]:
    """The first Exif and xml boxes of a file, decompressed.

    Returns:
        The content by type: `Exif` (a TIFF block, without its offset) and `xml `.
    """
    found: dict[bytes, bytes] = {}
    if not data.startswith(CONTAINER):
        return found
    for kind, content in read_boxes(data):
        packed = kind == b"brob"
        inner = content[:4] if packed else kind
        if inner in (b"Exif", b"xml ") and inner not in found:
            found[inner] = _decompress(content[4:]) if packed else content
    if exif := found.get(b"Exif"):
        found[b"Exif"] = exif[4 + int.from_bytes(exif[:4], "big") :]
    return {kind: content for kind, content in found.items() if content}


def _decompress(content: bytes) -> bytes:
    """Decompress a brob box; b"" if it is damaged or too large."""
    import brotli

    unpacker = brotli.Decompressor()
    try:
        whole: bytes = unpacker.process(content, output_buffer_limit=_MAX_METADATA)
    except brotli.error:
        return b""
    return whole if unpacker.is_finished() else b""


def with_boxes(data: bytes, boxes: Mapping[bytes, bytes]) -> bytes:
    """A file with boxes added, in a container if it is a bare codestream."""
    if not boxes:
        return data
    if data.startswith(CODESTREAM):
        data = CONTAINER + _FILE_TYPE + _box(b"jxlc", data)
    front, rest = b"", b""
    for kind, content in read_boxes(data):
        if kind in _IN_FRONT:
            front += _box(kind, content)
        else:
            rest += _box(kind, content)
    return front + b"".join(_box(kind, content) for kind, content in boxes.items()) + rest


def _box(kind: bytes, content: bytes) -> bytes:
    size = 8 + len(content)
    if size < 1 << 32:
        return struct.pack(">I", size) + kind + content
    return struct.pack(">I", 1) + kind + struct.pack(">Q", size + 8) + content


def read_header(data: bytes) -> Header:
    """Read the header of a file or of its beginning.

    Raises:
        ValueError: If it is damaged.
    """
    stream = data
    if data.startswith(CONTAINER):
        parts = [
            content[4:] if kind == b"jxlp" else content
            for kind, content in read_boxes(data)
            if kind in (b"jxlc", b"jxlp")
        ]
        stream = b"".join(part[:4096] for part in parts[:4])
    if not stream.startswith(CODESTREAM):
        raise ValueError("no codestream")
    return _parse_header(_Bits(stream[2:4096]))


class _Bits:
    """Reads bits, the lowest of each byte first (annex B)."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        """An unsigned number of so many bits."""
        if count > self._left:
            raise ValueError("the header is cut off")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def u32(self, *choices: tuple[int, int]) -> int:
        """U32: one of four choices, each an offset and a number of bits."""
        offset, bits = choices[self.u(2)]
        return offset + self.u(bits)

    def enum(self) -> int:
        return self.u32((0, 0), (1, 0), (2, 4), (18, 6))


def _parse_header(bits: _Bits) -> Header:
    width, height = _read_size(bits)
    if bits.u(1):
        return Header(width, height)
    if bits.u(1):
        orientation = 1 + bits.u(3)
        if orientation > 4:
            width, height = height, width
        if bits.u(1):
            _read_size(bits)
        if bits.u(1):
            _skip_preview(bits)
        if bits.u(1):
            return Header(width, height, is_animated=True)
    depth, is_float = _read_depth(bits)
    bits.u(1)
    count = bits.u32((0, 0), (1, 0), (2, 4), (1, 12))
    extra = [_read_extra_channel(bits) for _ in range(count)]
    return Header(
        width,
        height,
        depth,
        is_float,
        extra=tuple(kind for kind, _ in extra),
        is_premultiplied=any(associated for _, associated in extra),
    )


def _read_size(bits: _Bits) -> tuple[int, int]:
    """SizeHeader: width and height."""
    small = bits.u(1)

    def side() -> int:
        return 8 * (1 + bits.u(5)) if small else bits.u32((1, 9), (1, 13), (1, 18), (1, 30))

    height, ratio = side(), bits.u(3)
    if ratio == 0:
        return side(), height
    numerator, denominator = _RATIOS[ratio - 1]
    return height * numerator // denominator, height


def _skip_preview(bits: _Bits) -> None:
    """PreviewHeader."""
    small = bits.u(1)
    in_eights = (16, 0), (32, 0), (1, 5), (33, 9)
    in_ones = (1, 6), (65, 8), (321, 10), (1345, 12)
    choices = in_eights if small else in_ones
    bits.u32(*choices)
    if bits.u(3) == 0:
        bits.u32(*choices)


def _read_depth(bits: _Bits) -> tuple[int, bool]:
    """BitDepth: bits per sample, and whether they are floating point numbers."""
    if not bits.u(1):
        return bits.u32((8, 0), (10, 0), (12, 0), (1, 6)), False
    depth = bits.u32((32, 0), (16, 0), (24, 0), (1, 6))
    bits.u(4)
    return depth, True


def _read_extra_channel(bits: _Bits) -> tuple[int, bool]:
    """ExtraChannelInfo: its type, and whether it is alpha by which colours are multiplied."""
    if bits.u(1):
        return _ALPHA, False
    kind = bits.enum()
    _read_depth(bits)
    bits.u32((0, 0), (3, 0), (4, 0), (1, 3))
    bits.u(8 * bits.u32((0, 0), (0, 4), (16, 5), (48, 10)))
    if kind == _SPOT:
        bits.u(4 * 16)
    if kind == _CFA:
        bits.u32((1, 0), (0, 2), (3, 4), (19, 8))
    return kind, bool(kind == _ALPHA and bits.u(1))
