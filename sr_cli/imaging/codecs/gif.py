"""GIF: a palette per frame, with one transparent colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image

from sr_cli.errors import Note
from sr_cli.imaging.codecs import pillow
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.picture import Metadata, Picture

_TRANSPARENT = 255
"""The palette index of transparent pixels."""

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_APPLICATION = b"\x21\xff\x0b"
_LEAVE = b"\x21\xf9\x04\x04\0\0\0\0"
"""A graphic control extension of disposal 1 (section 23)."""

_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"
"""Identifiers of XMP (XMP part 3, section 1.1.2) and profiles (ICC.1:2001-04, annex B)."""

_XMP_TRAILER = b"\1" + bytes(range(255, -1, -1)) + b"\0"
"""What leads readers of sub-blocks to the end of XMP, which is not divided into them."""


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write 8-bit frames of at most 256 colours each."""
    options: dict[str, Any] = pillow.duration_option(picture) | _repeats(picture)
    if metadata.comment:
        options["comment"] = metadata.comment
    originals = pillow.to_images(picture)
    # The frames of a GIF had few colours before.
    is_reduced = picture.format != "GIF" and any(_loses_colours(i) for i in originals)
    images = [_to_palette(image) for image in originals]
    del originals
    if len(images) > 1:
        # Each frame is complete: clear the previous one first.
        options["disposal"] = 2
    pillow.save(images, file, "GIF", options)
    if metadata.xmp:
        _insert_xmp(file, metadata.xmp)
    return [Note("reduced-to-palette", {"format": "GIF"})] if is_reduced else []


def read_extensions(data: bytes, metadata: Metadata) -> None:
    """Read XMP and profile, which are application extensions that Pillow does not read."""
    for name, content in _application_extensions(data):
        if name == _XMP and content.endswith(_XMP_TRAILER):
            metadata.xmp = content.removesuffix(_XMP_TRAILER)
        elif name == _ICC:
            metadata.icc = b"".join(_sub_blocks(content))


def with_disposals(data: bytes) -> bytes:
    """The file with a control before each frame but the first that leaves the frame where it is.

    A control of its own, which follows, replaces it. Pillow 13 disposes of a frame that has no
    disposal (GIF89a, section 23) as it did of the last one that had.
    """
    made, position, follows_image = [], 0, False
    for begin, _, _ in _blocks(data):
        if follows_image:
            made += [data[position:begin], _LEAVE]
            position = begin
        follows_image = data[begin] == _IMAGE
    return b"".join([*made, data[position:]])


def _application_extensions(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Identifiers and sub-blocks of the application extensions (GIF89a, section 26)."""
    for begin, start, end in _blocks(data):
        if data[begin : start + 1] == _APPLICATION:
            yield data[start + 1 : start + 12], data[start + 12 : end]


def _blocks(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Where extensions and images begin, have their sub-blocks, and end (GIF89a, appendix B)."""
    position = _after_colours(data, 10, 13)
    while position + 2 <= len(data) and data[position] != _TRAILER:
        if data[position] not in (_EXTENSION, _IMAGE):
            # Readers skip stray bytes between blocks.
            position += 1
            continue
        begin = position
        if data[begin] == _IMAGE:
            position = _after_colours(data, begin + 9, begin + 10) + 1
        else:
            position += 2
        start = position
        while position < len(data) and data[position]:
            position += data[position] + 1
        position += 1
        yield begin, start, position


def _after_colours(data: bytes, flags: int, position: int) -> int:
    """Where a table of colours at this position ends; some have none (section 18)."""
    packed = data[flags] if flags < len(data) else 0
    return position + (3 << (packed & 7) + 1 if packed & 0x80 else 0)


def _sub_blocks(content: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(content) and content[position]:
        yield content[position + 1 : position + 1 + content[position]]
        position += content[position] + 1


def _insert_xmp(file: BinaryIO, xmp: bytes) -> None:
    """Insert XMP after the global colours of a complete file."""
    file.seek(0)
    data = file.read()
    place = _after_colours(data, 10, 13)
    file.seek(0)
    # Extensions came with this version.
    file.write(b"GIF89a" + data[6:place] + _APPLICATION + _XMP + xmp + _XMP_TRAILER + data[place:])


def _loses_colours(image: Image.Image) -> bool:
    """Whether an image has more colours than a palette, or partial transparency."""
    if image.mode in ("LA", "RGBA") and any(image.getchannel("A").histogram()[1:255]):
        return True
    return image.getcolors(256) is None


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
