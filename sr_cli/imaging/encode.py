"""Encoding of pictures into files, with their metadata."""

from __future__ import annotations

from typing import BinaryIO

import cv2

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import avif, bmp, gif, jpeg, png, tiff_writer, webp
from sr_cli.imaging.formats import Encoding, Format
from sr_cli.imaging.metadata import adapt_metadata, has_unusual_gamma
from sr_cli.imaging.picture import Metadata, Picture

_WRITERS = {
    "JPEG": jpeg.write,
    "PNG": png.write,
    "WEBP": webp.write,
    "TIFF": tiff_writer.write,
    "BMP": bmp.write,
    "GIF": gif.write,
    "AVIF": avif.write,
}


def write_picture(picture: Picture, file: BinaryIO, target: Format, encoding: Encoding) -> None:
    """Write all frames of `picture`, consuming their memory.

    Args:
        picture: It must not have features that the format does not support. Notes are added for
            metadata that could not be written.
        file: Opened for writing and reading, at its start.
        target: The format.
        encoding: How to encode.

    Raises:
        SrError: `encoding-failed`, `lossless-avif-animation`, without a subject.
        OSError: If writing to the file fails.
    """
    metadata = Metadata()
    if not encoding.strip:
        metadata = adapt_metadata(picture.metadata, picture.width, picture.height)
        picture.notes += _dropped(metadata, target)
    try:
        picture.notes += _WRITERS[target.name](picture, file, metadata, encoding)
    except (OSError, SrError):
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, cv2.error) as error:
        raise SrError("encoding-failed", format=target.name, reason=str(error)) from error


def _dropped(metadata: Metadata, target: Format) -> list[Note]:
    """Notes for the metadata that the format does not support."""
    lost = {
        "IPTC": bool(metadata.iptc) and target.name not in ("JPEG", "TIFF"),
        "gAMA": has_unusual_gamma(metadata) and target.name != "PNG",
    }
    return [
        Note("metadata-dropped", {"block": block, "format": target.name})
        for block, is_lost in lost.items()
        if is_lost
    ]
