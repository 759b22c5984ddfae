"""JPEG: no chroma subsampling, and metadata blocks that fit into one segment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, BinaryIO

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.metadata import PHOTOSHOP
from sr_cli.imaging.picture import Metadata, Picture

_MAX_BLOCK = 65_500
"""Bytes that fit into one segment, after the identifiers of some blocks."""


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one 8-bit frame without alpha.

    Returns:
        `metadata-too-large` notes for the blocks that were dropped.
    """
    named = (("EXIF", metadata.exif), ("XMP", metadata.xmp), ("IPTC", metadata.iptc))
    blocks = {name: block for name, block in named if block}
    fitting = {name: block for name, block in blocks.items() if len(block) <= _MAX_BLOCK}
    options: dict[str, Any] = {
        **pillow.common_options(replace(metadata, exif=fitting.get("EXIF"))),
        **pillow.quality_option("JPEG", encoding),
        "subsampling": 0,
        "xmp": fitting.get("XMP"),
        "extra": _iptc_segment(fitting["IPTC"]) if "IPTC" in fitting else None,
        "dpi": metadata.dpi,
        "comment": metadata.comment or None,
    }
    options = {name: value for name, value in options.items() if value is not None}
    pillow.save(pillow.to_images(picture), file, "JPEG", options)
    return [
        Note("metadata-too-large", {"block": name, "format": "JPEG", "bytes": len(block)})
        for name, block in blocks.items()
        if name not in fitting
    ]


def _iptc_segment(records: bytes) -> bytes:
    """The APP13 segment with these IIM records as Photoshop's resource 0x0404."""
    padded = records + b"\0" * (len(records) % 2)
    block = PHOTOSHOP + b"8BIM\x04\x04\0\0" + len(records).to_bytes(4, "big") + padded
    return b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block
