"""Conversion between Pillow images and frames, and options shared by Pillow's formats."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sr_cli.errors import Note
from sr_cli.imaging.conversion import orient_frame
from sr_cli.imaging.formats import FORMATS, Encoding
from sr_cli.imaging.metadata import read_metadata
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.imaging.profiles import srgb_profile
from sr_cli.system.memory import release_rows

_BAND_BYTES = 64 << 20
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262


def from_pillow(image: Image.Image) -> Frame:
    """Convert the current frame of an image in memory, upright."""
    image.load()
    frame, _ = to_frame(image, image.info.get("icc_profile"))
    orient_frame(frame, read_metadata(image)[1])
    return frame


def to_frame(image: Image.Image, profile: bytes | None) -> tuple[Frame, Note | None]:
    """Convert the current frame of a loaded image in any of Pillow's modes, not rotated.

    Args:
        image: Not changed.
        profile: The colour profile of a CMYK image.

    Returns:
        Gray or RGB with its alpha, and a note if colours were converted to sRGB.
    """
    note = None
    if image.mode.startswith("I;16"):
        return _sixteen_bit_gray(image), None
    if image.mode in ("I", "F"):
        key = image.info.get("transparency")
        return Frame(np.array(image), nodata=key if isinstance(key, int) else None), None
    if image.mode in ("CMYK", "LAB"):
        image, note = _to_srgb(image, profile)
    mode = image.mode
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    gray = mode in ("1", "L", "LA", "La")
    wanted = ("LA" if gray else "RGBA") if transparent else ("L" if gray else "RGB")
    if mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    values = np.asarray(image if image.mode == wanted else image.convert(wanted))
    if not transparent:
        return Frame(np.ascontiguousarray(values)), note
    colour = values[..., 0] if gray else values[..., :3]
    return Frame(np.ascontiguousarray(colour), np.ascontiguousarray(values[..., -1])), note


def tiff_tag(image: Image.Image, tag: int, default: Any) -> Any:
    """A tag of the current page of a TIFF, or `default`."""
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(tag, default)


def _sixteen_bit_gray(image: Image.Image) -> Frame:
    gray = np.asarray(image).astype(np.uint16)
    if tiff_tag(image, BITS_PER_SAMPLE, (16,)) in (12, (12,)):
        gray = (gray << 4 | gray >> 8).astype(np.uint16)
    alpha = None
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = np.where(gray == transparent, 0, 65535).astype(np.uint16)
    white_is_zero = tiff_tag(image, PHOTOMETRIC, 1) == 0
    return Frame(np.ascontiguousarray(65535 - gray if white_is_zero else gray), alpha)


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, Note]:
    """Convert CMYK or Lab to sRGB, through the profile or, for CMYK without one, by formula."""
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    source: Any = None
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif profile:
        with suppress(OSError, ImageCms.PyCMSError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source is not None:
        with suppress(ImageCms.PyCMSError):
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
            if converted is not None:
                return converted, Note("converted-to-srgb", {"mode": image.mode})
    return image.convert("RGB"), Note("converted-without-profile", {"mode": image.mode})


def to_pillow(frame: Frame) -> Image.Image:
    """An 8-bit frame as a Pillow image, band by band while its memory is given back.

    Without a copy, and read-only, if the frame's pixels are those of a file in Pillow's layout.
    """
    if (whole := mapped_rows(frame)) is not None:
        mode = "L" if whole.ndim == 2 else "RGBX"
        size = (frame.width, frame.height)
        return Image.frombuffer(mode, size, cast("Any", whole), "raw", mode, 0, 1)
    gray, alpha = frame.pixels.ndim == 2, frame.alpha
    mode = ("L" if gray else "RGB") + ("" if alpha is None else "A")
    image = Image.new(mode, (frame.width, frame.height), None)
    rows = max(1, _BAND_BYTES // max(1, frame.pixels.strides[0]))
    for y in range(0, frame.height, rows):
        band = frame.pixels[y : y + rows]
        if alpha is not None:
            band = np.dstack([band, alpha[y : y + rows]])
        image.paste(Image.fromarray(band), (0, y))
        if y + rows < frame.height:
            release_rows(frame.pixels, y + rows)
    frame.pixels = np.empty((0, 0), np.uint8)
    return image


def mapped_rows(frame: Frame) -> NDArray[np.uint8] | None:
    """The rows of a mapped file that are a frame's pixels in Pillow's layout.

    Returns:
        (h, w) or, of RGB and a byte without meaning, (h, w, 4); None for other frames.
    """
    pixels: Any = frame.pixels
    whole = pixels if pixels.ndim == 2 else pixels.base
    if frame.alpha is not None or not isinstance(whole, np.memmap) or whole.dtype != np.uint8:
        return None
    wanted = (*pixels.shape[:2], *([] if pixels.ndim == 2 else [4]))
    return whole if whole.shape == wanted else None


class ReleasingFile:
    """A file for an encoder that reads mapped rows once: they leave the memory as it writes.

    Of a file it has only what Pillow needs if it has no descriptor: write and flush.
    """

    def __init__(self, file: BinaryIO, rows: NDArray[np.uint8]) -> None:
        self._file = file
        self._rows = rows

    def write(self, data: bytes) -> int:
        release_rows(self._rows, len(self._rows))
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def to_images(picture: Picture) -> list[Image.Image]:
    """Convert all frames to Pillow images, consuming their memory."""
    return [to_pillow(frame) for frame in picture.frames]


def save(images: list[Image.Image], file: BinaryIO, name: str, options: dict[str, Any]) -> None:
    """Write one image, or several as an animation, in Pillow's format `name`."""
    if len(images) > 1:
        options = options | {"save_all": True, "append_images": images[1:]}
    images[0].save(file, name, **options)


def duration_option(picture: Picture) -> dict[str, list[int]]:
    """The option for the duration of each frame of an animation; none for one frame."""
    if len(picture.frames) == 1:
        return {}
    return {"duration": [round(f.duration) for f in picture.frames]}


def loop_option(picture: Picture) -> dict[str, int]:
    """The option for how often an animation is played, 0 for ever; none for one frame."""
    if len(picture.frames) == 1:
        return {}
    return {"loop": 1 if picture.loop is None else picture.loop}


def common_options(metadata: Metadata) -> dict[str, bytes]:
    """The options that JPEG, PNG, WebP and AVIF share."""
    # Set even without a profile: otherwise Pillow copies that of the image object.
    options = {"icc_profile": metadata.icc or b""}
    return options | ({"exif": metadata.exif} if metadata.exif else {})


def quality_option(name: str, encoding: Encoding) -> dict[str, int | None]:
    """The option for the quality: as requested, or the default of the format."""
    return {"quality": encoding.quality or FORMATS[name].quality}
