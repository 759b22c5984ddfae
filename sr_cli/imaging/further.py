"""Metadata that nothing here reads or writes, by name, so that its loss can be said."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from sr_cli.imaging import codecs
from sr_cli.imaging.codecs.png_chunks import SIGNATURE, read_chunks
from sr_cli.imaging.codecs.tiff_pages import GDAL_NODATA
from sr_cli.imaging.compound.segments import APP1, APP2, EXTENDED_XMP, XMP, parse_image
from sr_cli.imaging.exif import DESCRIPTIVE, DIRECTORIES, EXIF_MARK
from sr_cli.imaging.georeference import TAGS as GEOREFERENCE
from sr_cli.imaging.metadata import (
    IPTC_RESOURCE,
    PHOTOSHOP,
    TIFF_ICC,
    TIFF_IPTC,
    TIFF_XMP,
    image_resources,
)

_APP0, _APP13, _APP14, _APP15 = 0xE0, 0xED, 0xEE, 0xEF

_READ_SEGMENTS = {
    APP1: (EXIF_MARK, XMP, EXTENDED_XMP),
    APP2: (b"ICC_PROFILE\0", b"MPF\0", b"urn:iso:std:iso:ts:21496:"),
    _APP0: (b"",),
    _APP14: (b"Adobe",),
}
"""Identifiers of segments that are read, or describe the encoding."""

_ABOUT_OTHERS = (0x03ED, 0x0409, 0x040C, 0x0425)
"""Photoshop's resources that repeat others: resolution, thumbnails, and the digest of IPTC."""

_READ_CHUNKS = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"cICP", b"mDCV",
    b"cLLI", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"eXIf",
}  # fmt: skip
_READ_RIFF = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "}

_STRUCTURAL = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281),
    *(282, 283, 284, 288, 289, 290, 291, 292, 293, 296, 297, 317, 320, 321, 322, 323, 324, 325),
    *(326, 327, 328, 330, 332, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518),
    *(519, 520, 521, 529, 530, 531, 532, 559, 32997, 32998),
}
"""Tags that describe how a TIFF stores its pixels (TIFF 6.0, appendix A, and its supplements)."""

_IMAGEJ = (50838, 50839)
"""ImageJ's own block: labels, ranges, look-up tables; its overlays have a note of their own."""

_READ_TAGS = (
    _STRUCTURAL
    | DESCRIPTIVE
    | {*GEOREFERENCE, *_IMAGEJ, *DIRECTORIES, TIFF_ICC, TIFF_IPTC, TIFF_XMP, GDAL_NODATA}
)


def find_further(data: bytes, format_name: str) -> tuple[str, ...]:
    """What a file has beyond the metadata that is read.

    Args:
        data: The file.
        format_name: Pillow's name of its format.

    Returns:
        Names of segments, chunks or tags, each once, in the file's order; none where the file is
        damaged or its format has nothing of the kind.
    """
    names = _FINDERS.get(format_name)
    found: dict[str, None] = {}
    if names is not None:
        # Of a damaged file what comes before the damage.
        with suppress(Exception):
            for name in names(data):
                found[name] = None
    return tuple(found)


def _segments(data: bytes) -> Iterator[str]:
    image = parse_image(data)
    for segment in image.head if image else ():
        if _APP0 <= segment.marker <= _APP15:
            is_read = segment.content.startswith(_READ_SEGMENTS.get(segment.marker, ()))
            if segment.marker == _APP13 and segment.content.startswith(PHOTOSHOP):
                resources = image_resources(segment.content[len(PHOTOSHOP) :])
                is_read = all(n in (IPTC_RESOURCE, *_ABOUT_OTHERS) for n, _ in resources)
            if not is_read:
                yield f"APP{segment.marker - _APP0}"


def _chunks(data: bytes) -> Iterator[str]:
    if not data.startswith(SIGNATURE):
        return
    for kind, _ in read_chunks(data):
        if not kind.isalpha() or kind == b"IEND":
            return
        if kind not in _READ_CHUNKS:
            yield kind.decode("ascii")


def _riff_chunks(data: bytes) -> Iterator[str]:
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        if not kind.isascii() or not kind.decode("ascii").isprintable():
            return
        if kind not in _READ_RIFF:
            yield kind.decode("ascii").strip()
        position += 8 + length + length % 2


def _tags(data: bytes) -> Iterator[str]:
    return further_tags(codecs.tiff.describe(data))


def further_tags(pages: Iterable[Any]) -> Iterator[str]:
    """Names of the tags of TIFF pages that nothing reads, with repetitions."""
    for page in pages:
        for tag in page.tags:
            if tag.code not in _READ_TAGS:
                yield f"tag {tag.code}"


_FINDERS: Mapping[str, Callable[[bytes], Iterator[str]]] = {
    "JPEG": _segments,
    "PNG": _chunks,
    "WEBP": _riff_chunks,
    "TIFF": _tags,
}
