"""AVIF: 4:4:4 with Pillow; lossless with OpenCV, for one frame without metadata."""

from __future__ import annotations

from typing import Any, BinaryIO

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import opencv, pillow
from sr_cli.imaging.exif import without_orientation
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Metadata, Picture


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write 8-bit frames.

    Raises:
        SrError: `lossless-avif-animation`, `encoding-failed`.
    """
    if encoding.lossless:
        return _write_lossless(picture, file, metadata)
    options: dict[str, Any] = {
        **pillow.common_options(metadata),
        **pillow.quality_option("AVIF", encoding),
        **pillow.duration_option(picture),
        **pillow.loop_option(picture),
        **({"xmp": metadata.xmp} if metadata.xmp else {}),
        "subsampling": "4:4:4",
        "speed": 6,
    }
    if metadata.exif:
        options["exif"] = without_orientation(metadata.exif)
    pillow.save(pillow.to_images(picture), file, "AVIF", options)
    return []


def _write_lossless(picture: Picture, file: BinaryIO, metadata: Metadata) -> list[Note]:
    if len(picture.frames) > 1:
        raise SrError("lossless-avif-animation")
    file.write(opencv.encode_lossless_avif(picture.frames[0]))
    return [Note("lossless-avif-without-metadata")] if metadata != Metadata() else []
