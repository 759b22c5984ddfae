"""EXIF blocks: parsing, filtering, and serialising with the types of the standard."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

EXIF_MARK = b"Exif\0\0"
"""What precedes the TIFF block of EXIF in a JPEG, and in our `Metadata`."""

ORIENTATION = 0x0112
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
LAYOUT = (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
"""Tags of orientation and resolution, which are set again on writing."""


DESCRIPTIVE = {
    0x010D, 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298,
    0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F, 0x4746, 0x4749,
}  # fmt: skip
"""Tags of the main directory that describe the photo; the others describe the input file."""

DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

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
"""The types of tags in the Exif standard, of which Pillow knows few."""

_TYPE_OF = {tag: kind for kind, tags in _TYPES.items() for tag in tags}


def clean_exif(exif: Image.Exif) -> bytes | None:
    """EXIF without orientation, thumbnail (the second directory) and the layout of the file."""
    kept = {tag: value for tag, value in exif.items() if tag in DESCRIPTIVE}
    inner: dict[int, dict[int, Any]] = {c: dict(exif.get_ifd(c)) for c in DIRECTORIES}
    inner[ExifTags.IFD.Exif].pop(ExifTags.IFD.Interop, None)
    inner = {code: entries for code, entries in inner.items() if entries}
    for entries in (kept, *inner.values()):
        text_as_bytes(entries)
    return exif_block(kept, inner, exif.endian) if kept or inner else None


def exif_directory(
    code: int, entries: Mapping[int, Any], order: str | None = None, *, big: bool = False
) -> ImageFileDirectory_v2:
    """Build an Exif or GPS directory, with the types of the standard.

    Args:
        code: The tag of the directory.
        entries: Values by tag.
        order: The byte order, `<` or `>`.
        big: Use the layout of BigTIFF.
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


def exif_block(
    main: Mapping[int, Any], inner: Mapping[int, Mapping[int, Any]], order: str | None
) -> bytes:
    """Serialise an EXIF block.

    Args:
        main: The main directory, by tag.
        inner: The other directories, by their tags.
        order: The byte order of the input, `<` or `>`, because maker notes may depend on it.
    """
    first = ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    for tag, value in [*main.items(), *((code, 0) for code in inner)]:
        first[tag] = value
    start = 8
    end = start + len(first.tobytes(start))
    blocks = b""
    for code, entries in inner.items():
        first[code] = end + len(blocks)
        blocks += exif_directory(code, entries, order).tobytes(end + len(blocks))
    head = b"II\x2a\0\x08\0\0\0" if order == "<" else b"MM\0\x2a\0\0\0\x08"
    return EXIF_MARK + head + first.tobytes(start) + blocks


def text_as_bytes(entries: MutableMapping[int, Any]) -> None:
    """Convert text to bytes in place: Pillow reads Latin-1 and writes ASCII, which breaks UTF-8."""
    for tag, value in list(entries.items()):
        if isinstance(value, str):
            entries[tag] = value.encode("latin-1", "replace")


def parse_exif(block: bytes | None) -> Image.Exif:
    """Parse an EXIF block into Pillow's object, with text as bytes; empty for None."""
    exif = Image.Exif()
    if block is not None:
        exif.load(block)
        for entries in (exif, *split_directories(exif)[1].values()):
            text_as_bytes(entries)
    return exif


def without_orientation(block: bytes) -> bytes:
    """An EXIF block without orientation, for formats that store it elsewhere."""
    exif = parse_exif(block)
    main, inner = split_directories(exif)
    main.pop(ORIENTATION, None)
    return exif_block(main, inner, exif.endian)


def without_description(block: bytes | None) -> bytes | None:
    """An EXIF block without ImageDescription; None if nothing is left."""
    exif = parse_exif(block)
    main, inner = split_directories(exif)
    main.pop(ExifTags.Base.ImageDescription, None)
    return exif_block(main, inner, exif.endian) if main or inner else None


def split_directories(exif: Image.Exif) -> tuple[dict[int, Any], dict[int, dict[int, Any]]]:
    """Split EXIF into the main directory and the others, by tag."""
    # get_ifd would create a missing directory.
    inner: dict[int, dict[int, Any]] = {c: exif.get_ifd(c) for c in DIRECTORIES if c in exif}
    return {tag: value for tag, value in exif.items() if tag not in inner}, inner
