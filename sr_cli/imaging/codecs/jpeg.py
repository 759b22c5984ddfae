"""JPEG: no subsampling of colour, and blocks of metadata that fit into one segment."""

from __future__ import annotations

from typing import Any, BinaryIO

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.metadata import jpeg_iptc_segment
from sr_cli.imaging.picture import Metadata, Picture

_MAX_BLOCK = 65_500


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one 8-bit frame without alpha; notes say which blocks were too large."""
    options: dict[str, Any] = {
        **pillow.profile_and_exif(metadata),
        **pillow.quality("JPEG", encoding),
        "subsampling": 0,
        "xmp": metadata.xmp or None,
        "dpi": metadata.dpi,
        "comment": metadata.comment or None,
        "extra": jpeg_iptc_segment(metadata.iptc) if metadata.iptc else b"",
    }
    options = {name: value for name, value in options.items() if value is not None}
    notes = []
    for name in ("exif", "xmp"):
        size = len(options.get(name, b""))
        if size > _MAX_BLOCK:
            del options[name]
            facts = {"block": name.upper(), "format": "JPEG", "bytes": size}
            notes.append(Note("metadata-too-large", facts))
    pillow.save(pillow.to_images(picture), file, "JPEG", options)
    return notes
