"""Encoding of pictures into files, with their metadata."""

from __future__ import annotations

from typing import BinaryIO

import cv2

from sr_cli.errors import SrError
from sr_cli.imaging.codecs import avif, bmp_writer, gif, jpeg, jxl, png, tiff_writer, webp
from sr_cli.imaging.fit import fit_metadata
from sr_cli.imaging.formats import Encoding, Format
from sr_cli.imaging.metadata import adapt_metadata
from sr_cli.imaging.picture import Picture

_WRITERS = {
    "JPEG": jpeg.write,
    "PNG": png.write,
    "WEBP": webp.write,
    "TIFF": tiff_writer.write,
    "BMP": bmp_writer.write,
    "GIF": gif.write,
    "AVIF": avif.write,
    "JXL": jxl.write,
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
        SrError: `extra-missing`, `encoding-failed`, `lossless-avif-animation`, without a subject.
        OSError: If writing to the file fails.
    """
    fitted, notes = fit_metadata(picture, target, encoding)
    metadata = adapt_metadata(fitted, picture.width, picture.height)
    picture.notes += notes
    try:
        picture.notes += _WRITERS[target.name](picture, file, metadata, encoding)
    except (OSError, SrError):
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, cv2.error) as error:
        raise SrError("encoding-failed", format=target.name, reason=str(error)) from error
