"""WebP."""

from __future__ import annotations

from typing import Any, BinaryIO

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Metadata, Picture


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write 8-bit frames, lossless if requested."""
    options: dict[str, Any] = {
        **pillow.common_options(metadata),
        **pillow.quality_option("WEBP", encoding),
        **pillow.duration_option(picture),
        **pillow.loop_option(picture),
        **({"xmp": metadata.xmp} if metadata.xmp else {}),
        "method": 4,
        "exact": False,
        "lossless": encoding.lossless,
    }
    pillow.save(pillow.to_images(picture), file, "WEBP", options)
    return []
