"""JPEG: no chroma subsampling, metadata that fits into one segment, gain maps and videos."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, BinaryIO, cast

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.compound.promises import Promises
from sr_cli.imaging.compound.segments import APP1, APP2, XMP, build_extension, build_segment
from sr_cli.imaging.compound.write import promises_of, write_parts
from sr_cli.imaging.compound.xmp import add_promises
from sr_cli.imaging.fates import Kind
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.metadata import PHOTOSHOP
from sr_cli.imaging.picture import GainMap, Metadata, Picture

_MAX_BLOCK = FORMATS["JPEG"].max_block or 0
_APP13 = 0xED


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one 8-bit frame without alpha, with its gain map and video.

    Returns:
        `metadata-too-large` and `xmp-unreadable` notes for the blocks that were dropped.
    """
    gain_map, video, extension = picture.gain_map, picture.video, metadata.xmp_extension
    second = _encode_gain_map(gain_map, encoding) if gain_map else b""
    promises = promises_of(gain_map, len(second), video, extension)
    xmp, notes = _xmp_with(promises, metadata.xmp)
    options, too_large = _options(replace(metadata, xmp=xmp), encoding)
    if gain_map is not None and gain_map.base_iso:
        options["extra"] = options.get("extra", b"") + build_segment(APP2, gain_map.base_iso)
    if extension:
        options["extra"] = options.get("extra", b"") + build_extension(extension)
    if gain_map is None and video is None:
        _encode(picture, file, options)
    else:
        first = io.BytesIO()
        _encode(picture, first, options)
        write_parts(file, first.getvalue(), second, video.data if video else b"")
    return notes + too_large


def _encode(picture: Picture, file: BinaryIO, options: dict[str, Any]) -> None:
    """Encode the frame; rows of a mapped file leave the memory meanwhile."""
    rows = pillow.mapped_rows(picture.frames[0])
    if rows is not None:
        file = cast("BinaryIO", pillow.ReleasingFile(file, rows))
    pillow.save(pillow.to_images(picture), file, "JPEG", options)


def _options(metadata: Metadata, encoding: Encoding) -> tuple[dict[str, Any], list[Note]]:
    """Pillow's options, and notes for the blocks that do not fit into a segment."""
    blocks = {
        Kind.EXIF: metadata.exif,
        Kind.XMP: metadata.xmp,
        Kind.IPTC: metadata.iptc,
        Kind.COMMENT: metadata.comment,
    }
    fitting = {kind: block for kind, block in blocks.items() if block and len(block) <= _MAX_BLOCK}
    options: dict[str, Any] = {
        **pillow.common_options(replace(metadata, exif=fitting.get(Kind.EXIF))),
        **pillow.quality_option("JPEG", encoding),
        "subsampling": 0,
        "xmp": fitting.get(Kind.XMP),
        "extra": _iptc_segment(fitting[Kind.IPTC]) if Kind.IPTC in fitting else None,
        "dpi": metadata.dpi,
        "comment": fitting.get(Kind.COMMENT),
    }
    large = [
        _too_large(kind, block) for kind, block in blocks.items() if block and kind not in fitting
    ]
    return {name: value for name, value in options.items() if value is not None}, large


def _too_large(kind: Kind, block: bytes) -> Note:
    facts = {"block": kind.value, "format": "JPEG", "bytes": len(block)}
    return Note("metadata-too-large", facts)


def _xmp_with(promises: Promises, xmp: bytes | None) -> tuple[bytes | None, list[Note]]:
    """XMP with promises, which must be there even if what else XMP says cannot."""
    if promises == Promises():
        return xmp, []
    whole = add_promises(xmp, promises)
    if whole is not None and len(whole) <= _MAX_BLOCK:
        return whole, []
    note = Note("xmp-unreadable") if whole is None else _too_large(Kind.XMP, whole)
    return add_promises(None, promises), [note]


def _encode_gain_map(gain_map: GainMap, encoding: Encoding) -> bytes:
    """Encode a gain map with its own metadata, unchanged."""
    options, _ = _options(Metadata(icc=gain_map.icc), encoding)
    # As segments, because they came out of segments, into which they fit again.
    options["extra"] = b""
    if gain_map.xmp:
        options["extra"] += build_segment(APP1, XMP + gain_map.xmp)
    if gain_map.iso:
        options["extra"] += build_segment(APP2, gain_map.iso)
    file = io.BytesIO()
    pillow.save([pillow.to_pillow(gain_map.frame)], file, "JPEG", options)
    return file.getvalue()


def _iptc_segment(records: bytes) -> bytes:
    """The APP13 segment with these IIM records as Photoshop's resource 0x0404."""
    padded = records + b"\0" * (len(records) % 2)
    block = PHOTOSHOP + b"8BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + padded
    return build_segment(_APP13, block)
