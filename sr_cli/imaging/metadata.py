"""EXIF, XMP, IPTC, profiles and text: read from files, adapted to a new size."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sr_cli.errors import Note
from sr_cli.imaging.cicp import PRIMARIES, SRGB, parse_chunk
from sr_cli.imaging.exif import (
    DESCRIPTIVE,
    DIRECTORIES,
    LAYOUT,
    ORIENTATION,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    Y_RESOLUTION,
    clean_exif,
    exif_block,
    parse_exif,
    split_directories,
    text_as_bytes,
)
from sr_cli.imaging.picture import Metadata
from sr_cli.imaging.profiles import adobe_rgb_profile

_USUAL_GAMMA = 45_455
"""1 / 2.2 in the units of gAMA."""

_NEARLY = 0.005
"""Chromaticities that differ less are the same: they are often rounded to two digits."""

_SIZES = {b"cICP": 4, b"mDCV": 24, b"cLLI": 8, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
"""Bytes of the chunks of colour (PNG third edition, section 11.3.2)."""

_BLOCKS = ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1")
"""Keywords of PNG text that is no text."""

_INTEROPERABILITY_INDEX = 1

_NO_UNIT = 1
"""A ResolutionUnit of TIFF for files that state only an aspect ratio."""

TIFF_XMP, TIFF_IPTC, TIFF_ICC = 700, 33723, 34675
"""Tags of metadata blocks in the main directory of a TIFF."""

PHOTOSHOP = b"Photoshop 3.0\0"
"""The identifier of the JPEG segment that holds IPTC."""

IPTC_RESOURCE = 0x0404


def read_metadata(image: Image.Image) -> tuple[Metadata, int]:
    """Read the metadata of a file and its EXIF orientation (1 to 8).

    Damaged blocks are left out, so that the image can still be read.
    """
    found = Metadata()
    orientation = 1
    with suppress(Exception):
        exif = image.getexif()
        orientation = int(exif.get(ORIENTATION, 1))
        found.exif = clean_exif(exif)
    info = image.info
    found.icc = info.get("icc_profile") or None
    xmp = info.get("xmp")
    found.xmp = xmp.encode() if isinstance(xmp, str) else xmp
    with suppress(Exception):
        found.iptc = _read_iptc(image)
    with suppress(Exception):
        found.dpi = _read_dpi(info.get("dpi")) if _has_resolution(image) else None
    if found.dpi is None:
        with suppress(Exception):
            found.dpi = _dpi_of_exif(image.getexif())
    if found.icc is None:
        with suppress(Exception):
            found.icc = _profile_of_exif(image.getexif())
    comment = info.get("comment")
    found.comment = comment.encode() if isinstance(comment, str) else comment
    comments = [segment for name, segment in getattr(image, "applist", []) if name == "COM"]
    if comments:
        # Pillow reports the last one.
        found.comment = b"\n".join(comments)
    return found, orientation if 1 <= orientation <= 8 else 1


def read_png_colour(found: Metadata, chunks: Iterable[tuple[bytes, bytes]]) -> list[Note]:
    """Read the chunks that say what the samples of a PNG mean, into its metadata.

    Their precedence is cICP, iCCP, sRGB, gAMA and cHRM (PNG third edition, section 4.3).

    Args:
        found: With the profile of the file.
        chunks: Kinds and contents of the file's chunks.

    Returns:
        A `colour-not-understood` note if the first of them is for nothing that is known.
    """
    notes = []
    whole = {kind: content for kind, content in chunks if len(content) == _SIZES.get(kind)}
    if b"cICP" in whole:
        found.cicp = parse_chunk(whole[b"cICP"])
        if found.cicp is None or not found.cicp.is_defined:
            found.cicp = None
            notes.append(Note("colour-not-understood", {"values": list(whole[b"cICP"])}))
    found.mastering = {kind: whole[kind] for kind in (b"mDCV", b"cLLI") if kind in whole}
    if found.icc is None:
        kinds = (b"gAMA", b"cHRM", b"sRGB")
        found.png_colour = {kind: whole[kind] for kind in kinds if kind in whole}
    return notes


def without_blocks(texts: Mapping[str, str]) -> dict[str, str]:
    """PNG text without what carries EXIF or XMP, which are stored separately."""
    return {keyword: text for keyword, text in texts.items() if keyword not in _BLOCKS}


def gamma_and_corners(metadata: Metadata) -> tuple[float | None, list[tuple[float, float]] | None]:
    """The values of gAMA, and of cHRM with white last, for pixels that are not sRGB."""
    gamma, corners = (metadata.png_colour.get(kind) for kind in (b"gAMA", b"cHRM"))
    numbers = [n / 100_000 for n in struct.unpack(">8I", corners)] if corners else []
    pairs = list(zip(numbers[0::2], numbers[1::2], strict=True))
    # Unusual means another transfer than that of sRGB, which 1 / 2.2 approximates.
    exponent = int.from_bytes(gamma, "big") / 100_000 if gamma else 0
    return (
        exponent if exponent and has_unusual_gamma(metadata) else None,
        [*pairs[1:], pairs[0]] if pairs else None,
    )


def has_unusual_colour(metadata: Metadata) -> bool:
    """Whether gamma or chromaticities of a PNG differ noticeably from those of sRGB."""
    if b"sRGB" in metadata.png_colour:
        return False
    corners = np.array(gamma_and_corners(metadata)[1] or PRIMARIES[SRGB[0]])
    differs = float(np.abs(corners - PRIMARIES[SRGB[0]]).max()) > _NEARLY
    return differs or has_unusual_gamma(metadata)


def has_unusual_gamma(metadata: Metadata) -> bool:
    """Whether the gamma of a PNG differs noticeably from the usual 1 / 2.2."""
    gamma = metadata.png_colour.get(b"gAMA")
    if gamma is None or b"sRGB" in metadata.png_colour:
        return False
    return abs(int.from_bytes(gamma, "big") - _USUAL_GAMMA) > _USUAL_GAMMA // 20


def _read_dpi(dpi: Any) -> tuple[float, float] | None:
    with suppress(TypeError, ValueError, ZeroDivisionError):
        x, y = (float(v) for v in dpi)
        if all(math.isfinite(v) and 0 < v < 1e6 for v in (x, y)):
            return x, y
    return None


def _has_resolution(image: Image.Image) -> bool:
    """Whether the file has the resolution that Pillow reports: 72 and 1 stand for none."""
    if image.format in ("JPEG", "MPO"):
        return image.info.get("jfif_unit") in (1, 2) or X_RESOLUTION in image.getexif()
    tags: Any = getattr(image, "tag_v2", {X_RESOLUTION: None})
    return X_RESOLUTION in tags


def _dpi_of_exif(exif: Image.Exif) -> tuple[float, float] | None:
    """The resolution in EXIF, for files without another one."""
    if exif.get(RESOLUTION_UNIT) == _NO_UNIT:
        return None
    per_inch = 2.54 if exif.get(RESOLUTION_UNIT) == 3 else 1.0
    x, y = (float(exif[tag]) * per_inch for tag in (X_RESOLUTION, Y_RESOLUTION))
    return _read_dpi((x, y))


def _profile_of_exif(exif: Image.Exif) -> bytes | None:
    """Adobe RGB, which cameras signal by the interoperability index R03 (DCF 2.0)."""
    index = exif.get_ifd(ExifTags.IFD.Interop).get(_INTEROPERABILITY_INDEX)
    text = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    return adobe_rgb_profile() if text.strip("\0 ") == "R03" else None


def _read_iptc(image: Image.Image) -> bytes | None:
    for name, segment in getattr(image, "applist", []):
        if name == "APP13" and segment.startswith(PHOTOSHOP):
            resources = image_resources(segment[len(PHOTOSHOP) :])
            found = [content for number, content in resources if number == IPTC_RESOURCE]
            if found and found[0]:
                return found[0]
    tags: Any = getattr(image, "tag_v2", None)
    return _iptc_of_tags(tags) if tags is not None else None


def _iptc_of_tags(tags: Any) -> bytes | None:
    """The raw IIM records of a TIFF directory, because many files declare them as numbers."""
    raw = tags._tagdata.get(TIFF_IPTC)
    return bytes(raw) if raw else None


def read_tiff_metadata(file: BinaryIO) -> tuple[Metadata, int]:
    """Read metadata and orientation of a TIFF or BigTIFF, without Pillow's opening it."""
    stand_in = Image.new("L", (1, 1))
    iptc = None
    with suppress(Exception):
        file.seek(0)
        head = file.read(16)
        tags = _load_directory(file, head, _directory(head).next)
        main = {t: tags[t] for t in (*DESCRIPTIVE, *LAYOUT) if t in tags}
        inner: dict[int, dict[int, Any]] = {
            code: dict(_load_directory(file, head, tags[code], code))
            for code in DIRECTORIES
            if code in tags
        }
        for entries in (main, *inner.values()):
            text_as_bytes(entries)
        order = "<" if head[:2] == b"II" else ">"
        stand_in.info |= {"icc_profile": tags.get(TIFF_ICC), "xmp": tags.get(TIFF_XMP)}
        iptc = _iptc_of_tags(tags)
        stand_in.info["exif"] = exif_block(main, inner, order)
    found, orientation = read_metadata(stand_in)
    found.iptc = iptc
    return found, orientation


def _directory(head: bytes, code: int | None = None) -> ImageFileDirectory_v2:
    """An empty directory in the layout of this TIFF; `next` is the offset of its first one."""
    # Pillow recognises a BigTIFF only by the first byte of its version, as in little-endian files.
    start = b"II\x2b\0" + head[4:16] if 43 in head[2:4] else head[:8]
    return ImageFileDirectory_v2(start, head[:2], code)


def _load_directory(
    file: BinaryIO, head: bytes, place: int, code: int | None = None
) -> ImageFileDirectory_v2:
    file.seek(place)
    found = _directory(head, code)
    found.load(file)
    return found


def image_resources(blocks: bytes) -> Iterator[tuple[int, bytes]]:
    """The image resources in a Photoshop block (8BIM, id, padded name, length, padded data)."""
    position = 0
    while blocks[position : position + 4] == b"8BIM":
        number = int.from_bytes(blocks[position + 4 : position + 6], "big")
        name = blocks[position + 6]
        start = position + 6 + (name + 2 - name % 2)
        length = int.from_bytes(blocks[start : start + 4], "big")
        yield number, blocks[start + 4 : start + 4 + length]
        position = start + 4 + length + length % 2


def adapt_metadata(metadata: Metadata, width: int, height: int) -> Metadata:
    """Adapt metadata to an upright image of another size.

    Args:
        metadata: It is not changed.
        width: Of the result, in pixels.
        height: Of the result, in pixels.

    Returns:
        A copy with dimensions, orientation and resolution set.
    """
    exif, xmp = metadata.exif, metadata.xmp
    if exif is not None or metadata.dpi is not None:
        with suppress(Exception):
            changed = parse_exif(exif)
            main, inner = split_directories(changed)
            if metadata.dpi is not None:
                main[X_RESOLUTION], main[Y_RESOLUTION] = metadata.dpi
                main[RESOLUTION_UNIT] = 2
            main[ORIENTATION] = 1
            if ExifTags.IFD.Exif in inner:
                inner[ExifTags.IFD.Exif][ExifTags.Base.ExifImageWidth] = width
                inner[ExifTags.IFD.Exif][ExifTags.Base.ExifImageHeight] = height
            exif = exif_block(main, inner, changed.endian)
    if xmp is not None:
        for name, value in (
            ("tiff:Orientation", 1),
            ("tiff:ImageWidth", width),
            ("tiff:ImageLength", height),
            ("exif:PixelXDimension", width),
            ("exif:PixelYDimension", height),
        ):
            xmp = _set_in_xmp(xmp, name, value)
    return replace(metadata, exif=exif, xmp=xmp)


def _set_in_xmp(xmp: bytes, name: str, value: int) -> bytes:
    """Set a number in an XMP packet, where it exists as an attribute or element."""
    key = re.escape(name.encode())
    number = str(value).encode()
    xmp = re.sub(
        rb"(" + key + rb"""\s*=\s*["'])\s*\d+\s*(["'])""", rb"\g<1>" + number + rb"\g<2>", xmp
    )
    return re.sub(rb"(<" + key + rb">)\s*\d+\s*(</)", rb"\g<1>" + number + rb"\g<2>", xmp)
