"""BMP."""

from __future__ import annotations

from typing import BinaryIO

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Metadata, Picture


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one 8-bit frame without alpha, with its resolution."""
    options = {"dpi": metadata.dpi} if metadata.dpi else {}
    pillow.save(pillow.to_images(picture), file, "BMP", options)
    return []
