"""EXIF, XMP, IPTC and friends: read, kept true after resizing, written."""

from __future__ import annotations

import math
import re
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from PIL import ExifTags, Image

from sr_cli.imaging.picture import Metadata

_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_DESCRIPTIVE = {
    0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0x4746, 0x4749,
}  # fmt: skip
"""Tags of the main directory that describe the photo; the others describe the old file."""

_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

_IPTC_RESOURCE = 0x0404
_PHOTOSHOP = b"Photoshop 3.0\0"
_TIFF_XMP, _TIFF_IPTC, _TIFF_ICC = 700, 33723, 34675
_MAX_SEGMENT = 65_500


def read_metadata(image: Image.Image) -> tuple[Metadata, int]:
    """What the file says beside its pixels, and its EXIF orientation (1 to 8).

    A damaged block is left out: it must not keep the picture from being read.
    """
    found = Metadata()
    orientation = 1
    with suppress(Exception):
        exif = image.getexif()
        orientation = int(exif.get(_ORIENTATION, 1))
        found.exif = _clean_exif(exif)
    info = image.info
    found.icc = info.get("icc_profile") or None
    xmp = info.get("xmp")
    found.xmp = xmp.encode() if isinstance(xmp, str) else xmp
    with suppress(Exception):
        found.iptc = _read_iptc(image)
    found.dpi = _read_dpi(info.get("dpi"))
    if found.dpi is None:
        with suppress(Exception):
            found.dpi = _dpi_of_exif(image.getexif())
    texts = getattr(image, "text", None)
    if isinstance(texts, dict):
        found.text = {k: str(v) for k, v in texts.items() if not _is_a_block(k)}
    comment = info.get("comment")
    found.comment = comment.encode() if isinstance(comment, str) else comment
    return found, orientation if 1 <= orientation <= 8 else 1


def _is_a_block(key: str) -> bool:
    """PNG text that carries EXIF or XMP, which are kept as such."""
    return key in ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1")


def _clean_exif(exif: Image.Exif) -> bytes | None:
    """EXIF without orientation, thumbnail (its second directory) and the old file's layout."""
    kept = Image.Exif()
    for tag, value in exif.items():
        if tag in _DESCRIPTIVE:
            kept[tag] = value
    directories = {d: dict(exif.get_ifd(d)) for d in _DIRECTORIES}
    directories[ExifTags.IFD.Exif].pop(ExifTags.IFD.Interop, None)
    for directory, entries in directories.items():
        if entries:
            _keep_text(entries)
            kept.get_ifd(directory).update(entries)
    _keep_text(kept)
    return kept.tobytes() if len(kept) or any(directories.values()) else None


def _keep_text(entries: MutableMapping[int, Any]) -> None:
    """Pillow reads text as Latin-1 and writes it as ASCII: as bytes, UTF-8 survives."""
    for tag, value in list(entries.items()):
        if isinstance(value, str):
            entries[tag] = value.encode("latin-1", "replace")


def exif_of(block: bytes | None) -> Image.Exif:
    """An EXIF block as Pillow's object, its text as bytes; empty for None."""
    exif = Image.Exif()
    if block is not None:
        exif.load(block)
        # Asking for a directory that is not there would make an empty one.
        inner = [exif.get_ifd(d) for d in _DIRECTORIES if d in exif]
        for entries in (exif, *inner):
            _keep_text(entries)
    return exif


def _read_dpi(dpi: Any) -> tuple[float, float] | None:
    with suppress(TypeError, ValueError, ZeroDivisionError):
        x, y = (float(v) for v in dpi)
        if all(math.isfinite(v) and 0 < v < 1e6 for v in (x, y)):
            return x, y
    return None


def _dpi_of_exif(exif: Image.Exif) -> tuple[float, float] | None:
    """The resolution that EXIF gives, for files that have no other place for it."""
    per_inch = 2.54 if exif.get(_RESOLUTION_UNIT) == 3 else 1.0
    x, y = (float(exif[tag]) * per_inch for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    return _read_dpi((x, y))


def _read_iptc(image: Image.Image) -> bytes | None:
    for name, segment in getattr(image, "applist", []):
        if name == "APP13" and segment.startswith(_PHOTOSHOP):
            found = _resource(segment[len(_PHOTOSHOP) :], _IPTC_RESOURCE)
            if found:
                return found
    tags: Any = getattr(image, "tag_v2", None)
    return _iptc_of_tags(tags) if tags is not None else None


def _iptc_of_tags(tags: Any) -> bytes | None:
    """The IIM records of a TIFF's directory, as they lie: many files call them numbers."""
    raw = tags._tagdata.get(_TIFF_IPTC)
    return bytes(raw) if raw else None


def read_tiff_metadata(data: bytes) -> tuple[Metadata, int]:
    """What `read_metadata` gives, for a TIFF that Pillow does not open as a picture."""
    exif = Image.Exif()
    with suppress(Exception):
        exif.load(data)
    stand_in = Image.new("L", (1, 1))
    stand_in.info |= {"exif": data, "icc_profile": exif.get(_TIFF_ICC), "xmp": exif.get(_TIFF_XMP)}
    found, orientation = read_metadata(stand_in)
    with suppress(Exception):
        found.iptc = _iptc_of_tags(exif._info)
    return found, orientation


def _resource(blocks: bytes, wanted: int) -> bytes | None:
    """One image resource of a Photoshop block (8BIM, id, padded name, length, padded data)."""
    position = 0
    while blocks[position : position + 4] == b"8BIM":
        number = int.from_bytes(blocks[position + 4 : position + 6], "big")
        name = blocks[position + 6]
        start = position + 6 + (name + 2 - name % 2)
        length = int.from_bytes(blocks[start : start + 4], "big")
        data = blocks[start + 4 : start + 4 + length]
        if number == wanted:
            return data
        position = start + 4 + length + length % 2
    return None


def jpeg_iptc_segment(iptc: bytes) -> bytes:
    """An APP13 segment that carries IIM records; empty when they do not fit into one."""
    padded = iptc + b"\0" * (len(iptc) % 2)
    block = _PHOTOSHOP + b"8BIM\x04\x04\0\0" + len(iptc).to_bytes(4, "big") + padded
    if len(block) > _MAX_SEGMENT:
        return b""
    return b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block


def for_size(metadata: Metadata, width: int, height: int) -> Metadata:
    """The same metadata for a picture of another size: dimension tags set, orientation upright."""
    exif, xmp = metadata.exif, metadata.xmp
    if exif is not None or metadata.dpi is not None:
        with suppress(Exception):
            changed = exif_of(exif)
            if metadata.dpi is not None:
                changed[_X_RESOLUTION], changed[_Y_RESOLUTION] = metadata.dpi
                changed[_RESOLUTION_UNIT] = 2
            changed[_ORIENTATION] = 1
            # Asking for a directory that is not there would make an empty one.
            if ExifTags.IFD.Exif in changed:
                details = changed.get_ifd(ExifTags.IFD.Exif)
                details[ExifTags.Base.ExifImageWidth] = width
                details[ExifTags.Base.ExifImageHeight] = height
            if ExifTags.IFD.GPSInfo in changed:
                changed.get_ifd(ExifTags.IFD.GPSInfo)
            exif = changed.tobytes()
    if xmp is not None:
        for name, value in (
            ("tiff:Orientation", 1),
            ("tiff:ImageWidth", width),
            ("tiff:ImageLength", height),
            ("exif:PixelXDimension", width),
            ("exif:PixelYDimension", height),
        ):
            xmp = _set_in_xmp(xmp, name, value)
    return Metadata(
        exif, xmp, metadata.icc, metadata.iptc, metadata.dpi, metadata.text, metadata.comment
    )


def _set_in_xmp(xmp: bytes, name: str, value: int) -> bytes:
    """Set a number in an XMP packet, written as an attribute or as an element, if it is there."""
    key = re.escape(name.encode())
    number = str(value).encode()
    xmp = re.sub(
        rb"(" + key + rb"""\s*=\s*["'])\s*\d+\s*(["'])""", rb"\g<1>" + number + rb"\g<2>", xmp
    )
    return re.sub(rb"(<" + key + rb">)\s*\d+\s*(</)", rb"\g<1>" + number + rb"\g<2>", xmp)
