"""Encoding of pictures into files, with their metadata."""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from sr_cli.errors import Note, SrError
from sr_cli.imaging import codecs
from sr_cli.imaging.fit import fit_metadata
from sr_cli.imaging.formats import Encoding, Format, holds_provenance
from sr_cli.imaging.metadata import adapt_metadata
from sr_cli.imaging.picture import Metadata, Picture
from sr_cli.imaging.provenance import Provenance, add_provenance

_WRITERS = {
    "JPEG": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tiff_writer",
    "BMP": "bmp_writer",
    "GIF": "gif",
    "AVIF": "avif",
    "JXL": "jxl",
    "DICOM": "dicom_writer",
}
"""The module of `codecs` that writes each format."""


def write_picture(picture: Picture, file: BinaryIO, target: Format, encoding: Encoding) -> None:
    """Write all frames of `picture`, consuming their memory.

    Args:
        picture: It must not have features that the format does not support. Notes are added for
            metadata that could not be written. Its provenance is written unless metadata is
            stripped.
        file: Opened for writing and reading, at its start.
        target: The format.
        encoding: How to encode.

    Raises:
        SrError: `extra-missing`, `encoding-failed`, `lossless-avif-animation`, without a subject.
        OSError: If writing to the file fails.
    """
    metadata = prepare_metadata(picture, target, encoding)
    try:
        writer = getattr(codecs, _WRITERS[target.name])
        picture.notes += writer.write(picture, file, metadata, encoding)
    except (OSError, SrError):
        raise
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise SrError("encoding-failed", format=target.name, reason=str(error)) from error


def prepare_metadata(picture: Picture, target: Format, encoding: Encoding) -> Metadata:
    """The metadata of a result as it is written: fitted to format and size, with provenance.

    Args:
        picture: Of the result; notes are added for what could not be kept.
        target: The format.
        encoding: How it is written.
    """
    fitted, notes = fit_metadata(picture, target, encoding)
    metadata = adapt_metadata(fitted, picture.width, picture.height)
    picture.notes += notes
    described = _with_provenance(metadata, picture.provenance, target, encoding)
    if described is None:
        picture.notes.append(Note("provenance-not-written", {"format": target.name}))
    return described or metadata


def _with_provenance(
    metadata: Metadata, made: Provenance | None, target: Format, encoding: Encoding
) -> Metadata | None:
    """Metadata with the provenance in its XMP, where the format has a place for it.

    Returns:
        None if the XMP that is there cannot be extended, or would not fit any more.
    """
    if made is None or not holds_provenance(target, encoding):
        return metadata
    xmp = add_provenance(metadata.xmp, made)
    # What is the user's goes first: a longer packet might no longer fit in its segment.
    too_large = target.max_block is not None and len(xmp) > target.max_block
    if too_large or xmp == metadata.xmp:
        return None
    return replace(metadata, xmp=xmp)
