"""EXIF, XMP, IPTC and friends: read, kept true after resizing, written."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from sr_cli.imaging.picture import Metadata

_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_PLACED = (_ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT)
_DESCRIPTIVE = {
    0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0x4746, 0x4749,
}  # fmt: skip
"""Tags of the main directory that describe the photo; the others describe the old file."""

_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

_TYPES = {
    TiffTags.ASCII: (
        0x8824, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292,
        0xA004, 0xA420, 0xA430, 0xA431, 0xA433, 0xA434, 0xA435, 0xA436, 0xA437,
    ),
    TiffTags.UNDEFINED: (
        0x8828, 0x9000, 0x9101, 0x927C, 0x9286, 0xA000, 0xA20C, 0xA300, 0xA301, 0xA302, 0xA40B,
    ),
    TiffTags.SIGNED_RATIONAL: (0x9201, 0x9203, 0x9204, 0x9400, 0x9403, 0x9405),
}  # fmt: skip
"""The types that the Exif standard gives its directory's tags: Pillow knows few of them."""
_TYPE_OF = {tag: kind for kind, tags in _TYPES.items() for tag in tags}

_USUAL_GAMMA = 45_455
"""PNG's way to write 1 / 2.2."""

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
    if image.format == "PNG" and found.icc is None:
        with suppress(Exception):
            found.png_colour = _png_colour(info)
    texts = getattr(image, "text", None)
    if isinstance(texts, dict):
        found.text = {k: str(v) for k, v in texts.items() if not _is_a_block(k)}
    comment = info.get("comment")
    found.comment = comment.encode() if isinstance(comment, str) else comment
    return found, orientation if 1 <= orientation <= 8 else 1


def _png_colour(info: Mapping[Any, Any]) -> dict[bytes, bytes]:
    """The chunks gAMA, cHRM and sRGB (section 11.3.2 of PNG's specification), as they were."""
    chunks = {}
    if "gamma" in info:
        chunks[b"gAMA"] = struct.pack(">I", round(info["gamma"] * 100_000))
    if "chromaticity" in info:
        chunks[b"cHRM"] = struct.pack(">8I", *(round(v * 100_000) for v in info["chromaticity"]))
    if "srgb" in info:
        chunks[b"sRGB"] = bytes([info["srgb"]])
    return chunks


def has_another_gamma(metadata: Metadata) -> bool:
    """Whether a PNG's samples are meant brighter or darker than nearly all pictures' are."""
    gamma = metadata.png_colour.get(b"gAMA")
    if gamma is None or b"sRGB" in metadata.png_colour:
        return False
    return abs(int.from_bytes(gamma, "big") - _USUAL_GAMMA) > _USUAL_GAMMA // 20


def _is_a_block(key: str) -> bool:
    """PNG text that carries EXIF or XMP, which are kept as such."""
    return key in ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1")


def _clean_exif(exif: Image.Exif) -> bytes | None:
    """EXIF without orientation, thumbnail (its second directory) and the old file's layout."""
    kept = {tag: value for tag, value in exif.items() if tag in _DESCRIPTIVE}
    inner: dict[int, dict[int, Any]] = {c: dict(exif.get_ifd(c)) for c in _DIRECTORIES}
    inner[ExifTags.IFD.Exif].pop(ExifTags.IFD.Interop, None)
    inner = {code: entries for code, entries in inner.items() if entries}
    for entries in (kept, *inner.values()):
        _keep_text(entries)
    return _exif_block(kept, inner, exif.endian) if kept or inner else None


def directory_of(
    code: int, entries: Mapping[int, Any], order: str | None = None, *, big: bool = False
) -> ImageFileDirectory_v2:
    """The Exif or GPS directory (its tag is `code`), its entries typed as the standard has them.

    `order` is `<` or `>`; `big` lays it out for a BigTIFF.
    """
    head = b"II\x2b\0\x08\0\0\0" + bytes(8) if big else b"II\x2a\0" + bytes(4)
    made = ImageFileDirectory_v2(head, b"II" if order == "<" else b"MM", code)
    for tag, value in entries.items():
        kind = _TYPE_OF.get(tag) if code == ExifTags.IFD.Exif else None
        whole = IFDRational if kind == TiffTags.SIGNED_RATIONAL else (bytes, str)
        if kind is not None and isinstance(value, whole):
            made.tagtype[tag] = kind
        made[tag] = value
    return made


def _exif_block(
    main: Mapping[int, Any], inner: Mapping[int, Mapping[int, Any]], order: str | None
) -> bytes:
    """EXIF as files carry it. `order` is that of the bytes in the original, `<` or `>`: a
    camera's own notes may follow it.
    """
    first = ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    for tag, value in [*main.items(), *((code, 0) for code in inner)]:
        first[tag] = value
    start = 8
    end = start + len(first.tobytes(start))
    blocks = b""
    for code, entries in inner.items():
        first[code] = end + len(blocks)
        blocks += directory_of(code, entries, order).tobytes(end + len(blocks))
    head = b"II\x2a\0\x08\0\0\0" if order == "<" else b"MM\0\x2a\0\0\0\x08"
    return b"Exif\0\0" + head + first.tobytes(start) + blocks


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
        for entries in (exif, *_parts(exif)[1].values()):
            _keep_text(entries)
    return exif


def without_orientation(block: bytes) -> bytes:
    """EXIF for formats that say elsewhere how the picture is turned."""
    exif = exif_of(block)
    main, inner = _parts(exif)
    main.pop(_ORIENTATION, None)
    return _exif_block(main, inner, exif.endian)


def _parts(exif: Image.Exif) -> tuple[dict[int, Any], dict[int, dict[int, Any]]]:
    """The main directory without what points to others, and those."""
    # Asking for a directory that is not there would make an empty one.
    inner: dict[int, dict[int, Any]] = {c: exif.get_ifd(c) for c in _DIRECTORIES if c in exif}
    return {tag: value for tag, value in exif.items() if tag not in inner}, inner


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
    """What `read_metadata` gives, for a TIFF or BigTIFF that Pillow does not open as a picture."""
    stand_in = Image.new("L", (1, 1))
    iptc = None
    with suppress(Exception):
        head = data[:16] if data[2:4] == b"\x2b\0" else data[:8]
        tags = _load_directory(data, head, ImageFileDirectory_v2(head).next)
        main = {t: tags[t] for t in (*_DESCRIPTIVE, *_PLACED) if t in tags}
        inner: dict[int, dict[int, Any]] = {
            code: dict(_load_directory(data, head, tags[code], code))
            for code in _DIRECTORIES
            if code in tags
        }
        for entries in (main, *inner.values()):
            _keep_text(entries)
        order = "<" if head[:2] == b"II" else ">"
        stand_in.info |= {"icc_profile": tags.get(_TIFF_ICC), "xmp": tags.get(_TIFF_XMP)}
        iptc = _iptc_of_tags(tags)
        stand_in.info["exif"] = _exif_block(main, inner, order)
    found, orientation = read_metadata(stand_in)
    found.iptc = iptc
    return found, orientation


def _load_directory(
    data: bytes, head: bytes, place: int, code: int | None = None
) -> ImageFileDirectory_v2:
    file = io.BytesIO(data)
    file.seek(place)
    found = ImageFileDirectory_v2(head, group=code)
    found.load(file)
    return found


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
            main, inner = _parts(changed)
            if metadata.dpi is not None:
                main[_X_RESOLUTION], main[_Y_RESOLUTION] = metadata.dpi
                main[_RESOLUTION_UNIT] = 2
            main[_ORIENTATION] = 1
            if ExifTags.IFD.Exif in inner:
                inner[ExifTags.IFD.Exif][ExifTags.Base.ExifImageWidth] = width
                inner[ExifTags.IFD.Exif][ExifTags.Base.ExifImageHeight] = height
            exif = _exif_block(main, inner, changed.endian)
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
    """Set a number in an XMP packet, written as an attribute or as an element, if it is there."""
    key = re.escape(name.encode())
    number = str(value).encode()
    xmp = re.sub(
        rb"(" + key + rb"""\s*=\s*["'])\s*\d+\s*(["'])""", rb"\g<1>" + number + rb"\g<2>", xmp
    )
    return re.sub(rb"(<" + key + rb">)\s*\d+\s*(</)", rb"\g<1>" + number + rb"\g<2>", xmp)
