"""GIF: a palette per frame, with one transparent colour."""

from __future__ import annotations

from typing import Any, BinaryIO

from PIL import Image

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Metadata, Picture

_TRANSPARENT = 255
"""The palette index of transparent pixels."""


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write 8-bit frames of at most 256 colours each."""
    options: dict[str, Any] = pillow.duration_option(picture) | _repeats(picture)
    if metadata.comment:
        options["comment"] = metadata.comment
    images = [_to_palette(image) for image in pillow.to_images(picture)]
    if len(images) > 1:
        # Each frame is complete: clear the previous one first.
        options["disposal"] = 2
    pillow.save(images, file, "GIF", options)
    return []


def plays_from_repeats(repeats: int | None) -> int | None:
    """How often a GIF is played (0: for ever, None: once) from the repeats that it stores."""
    return repeats + 1 if repeats else repeats


def _repeats(picture: Picture) -> dict[str, int]:
    if len(picture.frames) == 1 or picture.loop in (None, 1):
        return {}
    return {"loop": max(0, picture.loop - 1)}


def _to_palette(image: Image.Image) -> Image.Image:
    """Reduce to at most 256 colours, one of them transparent for alpha below one half."""
    if image.mode == "L":
        return image
    if image.mode == "RGB":
        return image.quantize(256, Image.Quantize.MEDIANCUT)
    hidden = image.getchannel("A").point(lambda a: 0 if a >= 128 else 255)
    made = image.convert("RGB").quantize(255, Image.Quantize.MEDIANCUT)
    made.paste(_TRANSPARENT, None, hidden)
    made.info["transparency"] = _TRANSPARENT
    return made
