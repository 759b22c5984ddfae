"""AVIF: 4:4:4 or gray with Pillow; lossless with OpenCV, for one frame."""

from __future__ import annotations

from typing import Any, BinaryIO

from PIL import AvifImagePlugin

from sr_cli.errors import Note, SrError
from sr_cli.imaging import isobmff
from sr_cli.imaging.cicp import Cicp
from sr_cli.imaging.codecs import opencv, pillow
from sr_cli.imaging.exif import EXIF_MARK, without_orientation
from sr_cli.imaging.fates import Kind
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Metadata, Picture


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write 8-bit frames.

    Raises:
        SrError: `lossless-avif-animation`, `encoding-failed`.
    """
    if encoding.lossless:
        return _write_lossless(picture, file, metadata)
    # A gray profile fits only an image without chroma.
    is_gray = all(f.pixels.ndim == 2 and f.alpha is None for f in picture.frames)
    options: dict[str, Any] = {
        **pillow.common_options(metadata),
        **pillow.quality_option("AVIF", encoding),
        **pillow.duration_option(picture),
        **pillow.loop_option(picture),
        **({"xmp": metadata.xmp} if metadata.xmp else {}),
        **_colour_options(metadata.cicp),
        "subsampling": "4:0:0" if is_gray else "4:4:4",
        "speed": 6,
    }
    if metadata.exif:
        options["exif"] = without_orientation(metadata.exif)
    pillow.save(pillow.to_images(picture), file, "AVIF", options)
    return _write_colour(file, metadata)


def _write_colour(file: BinaryIO, metadata: Metadata) -> list[Note]:
    """Write colour that the encoders have no options for into a complete file."""
    if metadata.cicp is not None:
        isobmff.write_colour(file, metadata.cicp)
    if metadata.mastering and not isobmff.write_mastering(file, metadata.mastering):
        block = {"block": Kind.MASTERING.value, "format": "AVIF"}
        return [Note("metadata-dropped", block)]
    return []


def _colour_options(cicp: Cicp | None) -> dict[str, Any]:
    """Options for the colour in the coded image; Pillow sets that of sRGB otherwise."""
    if cicp is None or AvifImagePlugin.get_codec_version("aom") is None:
        return {}
    primaries, transfer = (str(number) for number in cicp.code_points)
    advanced = {"color-primaries": primaries, "transfer-characteristics": transfer}
    return {"codec": "aom", "advanced": advanced}


def _write_lossless(picture: Picture, file: BinaryIO, metadata: Metadata) -> list[Note]:
    if len(picture.frames) > 1:
        raise SrError("lossless-avif-animation")
    blocks = {
        "EXIF": without_orientation(metadata.exif).removeprefix(EXIF_MARK)
        if metadata.exif
        else b"",
        "XMP": metadata.xmp or b"",
        "ICCP": metadata.icc or b"",
    }
    blocks = {name: block for name, block in blocks.items() if block}
    encoded, is_described = opencv.encode_lossless_avif(picture.frames[0], blocks)
    file.write(encoded)
    notes = [] if is_described else [Note("lossless-avif-without-metadata")]
    return notes + _write_colour(file, metadata)
