"""JPEG: no chroma subsampling, and metadata blocks that fit into one segment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.fates import Kind
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.metadata import PHOTOSHOP
from sr_cli.imaging.picture import Metadata, Picture


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one 8-bit frame without alpha.

    Returns:
        `metadata-too-large` notes for the blocks that were dropped.
    """
    blocks = {
        Kind.EXIF: metadata.exif,
        Kind.XMP: metadata.xmp,
        Kind.IPTC: metadata.iptc,
        Kind.COMMENT: metadata.comment,
    }
    most = FORMATS["JPEG"].max_block or 0
    fitting = {kind: block for kind, block in blocks.items() if block and len(block) <= most}
    options: dict[str, Any] = {
        **pillow.common_options(replace(metadata, exif=fitting.get(Kind.EXIF))),
        **pillow.quality_option("JPEG", encoding),
        "subsampling": 0,
        "xmp": fitting.get(Kind.XMP),
        "extra": _iptc_segment(fitting[Kind.IPTC]) if Kind.IPTC in fitting else None,
        "dpi": metadata.dpi,
        "comment": fitting.get(Kind.COMMENT),
    }
    options = {name: value for name, value in options.items() if value is not None}
    pillow.save(pillow.to_images(picture), file, "JPEG", options)
    return [
        Note("metadata-too-large", {"block": kind.value, "format": "JPEG", "bytes": len(block)})
        for kind, block in blocks.items()
        if block and kind not in fitting
    ]


def _iptc_segment(records: bytes) -> bytes:
    """The APP13 segment with these IIM records as Photoshop's resource 0x0404."""
    padded = records + b"\0" * (len(records) % 2)
    block = PHOTOSHOP + b"8BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + padded
    return b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block
