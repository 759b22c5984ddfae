"""PNG: 16 bits per channel, transparency by colour key, text and colour chunks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from sr_cli.errors import Note, SrError
from sr_cli.imaging.cicp import as_chunk
from sr_cli.imaging.codecs import apng, opencv, pillow, png_rows
from sr_cli.imaging.codecs.png_chunks import with_chunks, without_profile
from sr_cli.imaging.codecs.source import OpenFile
from sr_cli.imaging.conversion import drop_features
from sr_cli.imaging.formats import Encoding, Feature
from sr_cli.imaging.picture import Frame, Metadata, Picture

_BIT_DEPTH, _COLOUR_TYPE = 24, 25
"""Offsets in the file (IHDR, section 11.2.1 of the PNG specification)."""

_GRAY, _RGB, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 4, 6


def read_frames(source: OpenFile, numbers: range) -> Iterator[Frame]:
    """Decode the frames with these numbers, not rotated."""
    if numbers == range(1):
        yield _read_image(source)
        return
    parts = apng.split_frames(source.data, len(numbers))
    stills = [_read_still(source, png) for _, png in parts]
    if len({still.pixels.dtype for still in stills}) > 1:
        # Damaged ones are read at 8 bits.
        stills = drop_features(Picture(stills, "PNG"), [Feature.SIXTEEN_BIT]).frames
    # Each is given up once it is composed: there may be many.
    composed = ((control, stills.pop(0)) for control, _ in parts)
    yield from apng.compose(composed, *source.image.size)


def _read_still(source: OpenFile, png: bytes) -> Frame:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        limits = source.max_pixels, source.allow_truncated
        return _read_image(OpenFile(png, image, *limits, source.notes))


def _read_image(source: OpenFile) -> Frame:
    depth, kind = source.data[_BIT_DEPTH], source.data[_COLOUR_TYPE]
    if kind == _GRAY and depth in (2, 4):
        _widen_transparent_gray(source.image, depth)
    if depth == 16 and kind in (_RGB, _GRAY_ALPHA, _RGB_ALPHA):
        return _read_sixteen_bit(source, gray=kind == _GRAY_ALPHA)
    return source.read_frame()


def _widen_transparent_gray(image: Image.Image, depth: int) -> None:
    """Scale the transparent key to 8 bits, as Pillow scales the samples."""
    key = image.info.get("transparency")
    if isinstance(key, int):
        image.info["transparency"] = key * (255 // (2**depth - 1))


def _read_sixteen_bit(source: OpenFile, *, gray: bool) -> Frame:
    try:
        # libpng writes to stderr that it does not like a profile, whose use is not its business.
        pixels = opencv.decode_deep(without_profile(source.data))
    except SrError as error:
        return source.read_at_8_bits(error)
    colour, alpha = opencv.split_channels(pixels)
    transparent = source.image.info.get("transparency")
    if alpha is None and isinstance(transparent, tuple):
        alpha = np.where((colour == np.array(transparent)).all(2), 0, 65535).astype(np.uint16)
    if gray and colour.ndim == 3:
        colour = np.ascontiguousarray(colour[..., 0])
    return Frame(colour, alpha, source.duration())


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write one frame of 8 or 16 bits, or an APNG of 8 bits."""
    options, colour = _options(metadata), _colour_chunks(metadata)
    if len(picture.frames) == 1:
        (frame,) = picture.frames
        described = io.BytesIO()
        mode = "L" if frame.pixels.ndim == 2 else "RGB"
        Image.new(mode, (1, 1)).save(with_chunks(described, colour), "PNG", **options)
        png_rows.write_frame(frame, file, described.getvalue())
        return []
    options |= pillow.duration_option(picture) | pillow.loop_option(picture)
    # Pillow's background is RGBA, which does not fit gray images.
    images = [i.convert("RGBA") if i.mode == "LA" else i for i in pillow.to_images(picture)]
    # Each frame is complete: clear the previous one first.
    options |= {"disposal": 1 if images[0].mode == "RGBA" else 0, "blend": 0}
    pillow.save(images, with_chunks(file, colour), "PNG", options)
    return []


def _colour_chunks(metadata: Metadata) -> dict[bytes, bytes]:
    cicp = {} if metadata.cicp is None else {b"cICP": as_chunk(metadata.cicp)}
    return cicp | metadata.mastering | metadata.png_colour


def _options(metadata: Metadata) -> dict[str, Any]:
    info = PngImagePlugin.PngInfo()
    for key, text in metadata.text.items():
        info.add_itxt(key, text) if not text.isascii() else info.add_text(key, text)
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    options = pillow.common_options(metadata) | {"pnginfo": info, "compress_level": png_rows.LEVEL}
    return options | ({"dpi": metadata.dpi} if metadata.dpi else {})
