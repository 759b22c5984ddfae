"""Pixels to files, with what the input's file said beside them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from sr_cli.errors import Note, SrError
from sr_cli.imaging.deep_png import write_deep_png
from sr_cli.imaging.formats import FORMATS, Format
from sr_cli.imaging.metadata import (
    for_size,
    has_another_gamma,
    jpeg_iptc_segment,
    without_orientation,
)
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.tiff import write_tiff
from sr_cli.system.memory import release_rows

_PNG_LEVEL = 4
_BAND = 64 << 20
_MAX_JPEG_BLOCK = 65_500
_UNSEEN = 255
"""The place in a GIF's palette that stands for transparency."""


@dataclass(frozen=True)
class Encoding:
    """How to write: `quality` 1 to 100 (None: the format's own), `lossless` WebP and AVIF."""

    quality: int | None = None
    lossless: bool = False
    strip: bool = False


def write_picture(picture: Picture, file: BinaryIO, target: Format, encoding: Encoding) -> None:
    """Write all frames of `picture`, consuming their memory.

    Args:
        picture: What the format does not support must have been dropped before. Its notes get
            what could not be written.
        file: Opened for writing and reading, at its start.
        target: The format.
        encoding: How to encode.

    Raises:
        SrError: `encoding-failed`, `lossless-avif-animation`, without a subject.
        OSError: What writing into the file raises.
    """
    metadata = Metadata()
    if not encoding.strip:
        metadata = for_size(picture.metadata, picture.width, picture.height)
        if metadata.iptc and target.name not in ("JPEG", "TIFF"):
            picture.notes.append(_dropped("IPTC", target))
        if has_another_gamma(metadata) and target.name != "PNG":
            picture.notes.append(_dropped("gAMA", target))
    deep = any(f.pixels.dtype == np.uint16 for f in picture.frames)
    try:
        if deep and target.name == "PNG":
            write_deep_png(picture.frames[0], file, _description(picture.frames[0], metadata))
        elif target.name == "TIFF":
            write_tiff(picture.frames, file, metadata)
        elif target.name == "AVIF" and encoding.lossless:
            _write_lossless_avif(picture, file, metadata)
        else:
            _write_with_pillow(picture, file, target, encoding, metadata)
    except (OSError, SrError):
        raise
    except (ValueError, TypeError, KeyError, RuntimeError, cv2.error) as error:
        raise SrError("encoding-failed", format=target.name, reason=str(error)) from error


def _dropped(block: str, target: Format) -> Note:
    return Note("metadata-dropped", {"block": block, "format": target.name})


def _write_with_pillow(
    picture: Picture, file: BinaryIO, target: Format, encoding: Encoding, metadata: Metadata
) -> None:
    options = _options(target, encoding, metadata, picture)
    images = [to_pillow(frame) for frame in picture.frames]
    if target.name == "GIF":
        images = [_to_palette(image) for image in images]
    if len(images) > 1:
        if picture.animation:
            options["duration"] = [round(f.duration) for f in picture.frames]
            options |= _loop_options(picture.loop, target)
            # Each frame is complete: the one before must not shine through.
            if target.name == "GIF":
                options["disposal"] = 2
            elif target.name == "PNG":
                # Pillow's background is RGBA, which it cannot lay under gray.
                images = [i.convert("RGBA") if i.mode == "LA" else i for i in images]
                options |= {"disposal": 1 if images[0].mode == "RGBA" else 0, "blend": 0}
        options |= {"save_all": True, "append_images": images[1:]}
    images[0].save(file, target.name, **options)


def _loop_options(loop: int | None, target: Format) -> dict[str, Any]:
    """How often an animation is played (0: for ever, None: once), as the format counts it."""
    if target.name == "GIF":
        return {} if loop is None else {"loop": max(0, loop - 1)} if loop != 1 else {}
    return {"loop": 1 if loop is None else loop}


def _options(
    target: Format, encoding: Encoding, metadata: Metadata, picture: Picture
) -> dict[str, Any]:
    """Pillow's save options for a format."""
    options: dict[str, Any] = {}
    if target.quality is not None:
        options["quality"] = encoding.quality or target.quality
    if target.name in ("JPEG", "PNG", "WEBP", "AVIF"):
        # Set even when there is none: Pillow would else copy what an image brought along.
        options["icc_profile"] = metadata.icc or b""
        if metadata.exif:
            is_avif = target.name == "AVIF"
            options["exif"] = without_orientation(metadata.exif) if is_avif else metadata.exif
    if metadata.xmp and target.name in ("JPEG", "WEBP", "AVIF"):
        options["xmp"] = metadata.xmp
    if metadata.dpi and target.name in ("JPEG", "PNG", "BMP"):
        options["dpi"] = metadata.dpi
    if metadata.comment and target.name in ("JPEG", "GIF"):
        options["comment"] = metadata.comment
    add = {"JPEG": _jpeg_options, "PNG": _png_options}.get(target.name)
    if add is not None:
        options |= add(metadata, picture)
    if target.name == "JPEG":
        options = {k: v for k, v in options.items() if not _too_long_for_jpeg(k, v, picture)}
    if target.name == "WEBP":
        options |= {"method": 4, "exact": False, "lossless": encoding.lossless}
    if target.name == "AVIF":
        options |= {"subsampling": "4:4:4", "speed": 6}
    return options


def _too_long_for_jpeg(key: str, value: Any, picture: Picture) -> bool:
    too_long = key in ("exif", "xmp") and len(value) > _MAX_JPEG_BLOCK
    if too_long:
        facts = {"block": key.upper(), "format": "JPEG", "bytes": len(value)}
        picture.notes.append(Note("metadata-too-large", facts))
    return too_long


def _jpeg_options(metadata: Metadata, picture: Picture) -> dict[str, Any]:
    extra = jpeg_iptc_segment(metadata.iptc) if metadata.iptc else b""
    return {"subsampling": 0, "extra": extra}


def _png_options(metadata: Metadata, picture: Picture) -> dict[str, Any]:
    info = PngImagePlugin.PngInfo()
    for key, text in metadata.text.items():
        info.add_itxt(key, text) if not text.isascii() else info.add_text(key, text)
    for kind, content in metadata.png_colour.items():
        info.add(kind, content)
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    return {"pnginfo": info, "compress_level": _PNG_LEVEL}


def to_pillow(frame: Frame) -> Image.Image:
    """An 8-bit frame as a Pillow image, band by band while its memory is given back."""
    h, w = frame.pixels.shape[:2]
    gray, alpha = frame.pixels.ndim == 2, frame.alpha
    mode = ("L" if gray else "RGB") + ("" if alpha is None else "A")
    image = Image.new(mode, (w, h), None)
    rows = max(1, _BAND // max(1, frame.pixels.strides[0]))
    for y in range(0, h, rows):
        band = frame.pixels[y : y + rows]
        if alpha is not None:
            band = np.dstack([band, alpha[y : y + rows]])
        image.paste(Image.fromarray(band), (0, y))
        if y + rows < h:
            release_rows(frame.pixels, y + rows)
    frame.pixels = np.empty((0, 0), np.uint8)
    return image


def _to_palette(image: Image.Image) -> Image.Image:
    """At most 256 colours, one of them transparent where the alpha is below a half."""
    if image.mode == "L":
        return image
    if image.mode == "RGB":
        return image.quantize(256, Image.Quantize.MEDIANCUT)
    unseen = image.getchannel("A").point(lambda a: 0 if a >= 128 else 255)
    made = image.convert("RGB").quantize(255, Image.Quantize.MEDIANCUT)
    made.paste(_UNSEEN, None, unseen)
    made.info["transparency"] = _UNSEEN
    return made


def _description(frame: Frame, metadata: Metadata) -> bytes:
    """A PNG of one pixel of the same kind that carries what is to stand beside the pixels."""
    options = _options(FORMATS["PNG"], Encoding(), metadata, Picture([frame], "PNG"))
    described = io.BytesIO()
    Image.new("L" if frame.pixels.ndim == 2 else "RGB", (1, 1)).save(described, "PNG", **options)
    return described.getvalue()


def _interleaved(frame: Frame) -> NDArray[Any]:
    """(h, w, C) in OpenCV's order of channels, with alpha as the fourth."""
    colour = frame.pixels if frame.pixels.ndim == 3 else np.dstack([frame.pixels] * 3)
    parts = [colour[..., ::-1]] + ([] if frame.alpha is None else [frame.alpha])
    return np.ascontiguousarray(np.dstack(parts))


def _write_lossless_avif(picture: Picture, file: BinaryIO, metadata: Metadata) -> None:
    """Through OpenCV: Pillow's AVIF always passes through YCbCr, which rounds."""
    if len(picture.frames) > 1:
        raise SrError("lossless-avif-animation")
    if metadata != Metadata():
        picture.notes.append(Note("lossless-avif-without-metadata"))
    pixels = _interleaved(picture.frames[0])
    ok, encoded = cv2.imencode(".avif", pixels, [cv2.IMWRITE_AVIF_QUALITY, 100])
    if not ok:
        raise SrError("encoding-failed", format="AVIF", reason="OpenCV refused")
    file.write(encoded.tobytes())
