"""Files to pixels: every mode made gray or RGB (with alpha), upright, 8 or 16 bits."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from sr_cli.errors import SrError
from sr_cli.imaging.deep import (
    DeepPage,
    deep_page,
    read_deep_frames,
    read_gray_alpha_tiff,
    tiff_tag,
)
from sr_cli.imaging.formats import FORMATS, sniff_format
from sr_cli.imaging.metadata import read_metadata, read_tiff_metadata
from sr_cli.imaging.picture import Frame, Picture, upright

DEFAULT_MAX_PIXELS = 512_000_000
_NEW_SUBFILE_TYPE = 254
_REDUCED = (1, 3, 5, 7)
"""Its lowest bit, whatever else it says; damaged ones are none of these."""


def read_picture(
    source: Path | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allow_truncated: bool = False,
) -> Picture:
    """Decode a file, or the bytes of one, with all its frames or pages.

    Raises SrError when it is missing, not a picture, damaged, cut off (unless
    `allow_truncated`) or larger than `max_pixels` over all its frames.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
    _prepare_pillow()
    name = "stdin" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except FileNotFoundError:
        raise SrError(f"{name}: no such file") from None
    except OSError as error:
        raise SrError(f"{name}: cannot be read ({error.strerror or error})") from error
    if not data:
        raise SrError(f"{name}: empty file")
    try:
        with Image.open(io.BytesIO(data), formats=_readable()) as image:
            return _decode(image, data, name, max_pixels)
    except SrError:
        raise
    except UnidentifiedImageError:
        if sniff_format(data[:32]) is FORMATS["TIFF"]:
            frames = read_gray_alpha_tiff(data, name, max_pixels)
            if frames is not None:
                metadata, orientation = read_tiff_metadata(data)
                for frame in frames:
                    _turn(frame, orientation)
                return Picture(frames, "TIFF", metadata)
        raise SrError(f"{name}: {_what_it_is_not(data)}") from None
    except MemoryError as error:
        raise SrError(f"{name}: out of memory while decoding") from error
    except Exception as error:
        # Decoders answer damage with whatever their parsing trips over.
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = "--allow-truncated reads what is there" if "truncated" in said else None
        raise SrError(f"{name}: damaged or unsupported picture ({said})", hint) from error


def read_size(path: Path) -> tuple[int, int] | None:
    """(width, height) from a file's header, turned upright; None when it cannot be read."""
    _prepare_pillow()
    with suppress(Exception), Image.open(path, formats=_readable()) as image:
        orientation = image.getexif().get(0x0112, 1)
        width, height = image.size
        turned = orientation in (5, 6, 7, 8) and image.format != "TIFF"
        return (height, width) if turned else (width, height)
    return None


def _readable() -> list[str]:
    """Pillow's names of the formats that may be opened."""
    return [n for n in (*FORMATS, "DIB") if n != "HEIF" or "HEIF" in Image.OPEN]


def _what_it_is_not(data: bytes) -> str:
    found = sniff_format(data[:32])
    if found is FORMATS["HEIF"] and "HEIF" not in Image.OPEN:
        return "a HEIC picture; support for it is an extra: pip install 'sr-cli[heif]'"
    if found is not None:
        return f"damaged, or a kind of {found.name} that is not supported"
    known = ", ".join(name for name in FORMATS)
    return f"not a picture in a known format ({known})"


@cache
def _prepare_pillow() -> None:
    """Reading files as the command does; a program that hands over its pictures keeps its own."""
    # Sizes are checked here against --max-pixels, before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")
    if "HEIF" in Image.OPEN:
        return
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _decode(image: Image.Image, data: bytes, name: str, max_pixels: int) -> Picture:
    file_format = {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "", image.format or "PNG")
    # A phone's multi-picture JPEG holds previews and depth maps beside the photo.
    count = 1 if image.format in ("MPO", "HEIF") else int(getattr(image, "n_frames", 1))
    # The pages of a TIFF each have their own size.
    _check_size(image, 1 if file_format == "TIFF" else count, name, max_pixels)
    total = 0
    reduced = _reduced_pages(image, count) if file_format == "TIFF" else set()
    # An APNG may begin with a picture for viewers that know no animation.
    first = 1 if count > 1 and getattr(image, "default_image", False) else 0
    is_animation = file_format in ("GIF", "PNG", "WEBP", "AVIF") and count - first > 1
    # A TIFF's description must be read before its pixels, which Pillow then turns upright
    # itself; a PNG's may stand behind its pixels.
    before_pixels = read_metadata(image) if file_format == "TIFF" else None
    if file_format == "PNG" and data[25] == 0 and data[24] in (2, 4):
        # Pillow widens the samples to 8 bits, but not the one that is transparent.
        key = image.info.get("transparency")
        if isinstance(key, int):
            image.info["transparency"] = key * (255 // (2 ** data[24] - 1))
    notes: list[str] = []
    if reduced:
        _note(notes, f"smaller copies of its pages left out ({len(reduced)})")
    frames: dict[int, Frame] = {}
    deep: dict[int, DeepPage] = {}
    profile = image.info.get("icc_profile")
    for index in range(first, count):
        if index in reduced:
            continue
        if count > 1:
            image.seek(index)
        total += image.size[0] * image.size[1]
        if total > max_pixels:
            raise SrError(f"{name}: more than {max_pixels} pixels", "--max-pixels raises the limit")
        if page := deep_page(image, data):
            deep[index] = page
            continue
        image.load()
        duration = float(image.info.get("duration") or 0)
        frames[index] = Frame(*_pixels(image, name, notes, profile), duration)
    if file_format != "TIFF":
        image.load()
    if deep:
        frames |= _deep_frames(image, data, deep, name, notes)
    metadata, orientation = before_pixels or read_metadata(image)
    if any("sRGB" in note for note in notes):
        metadata.icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Pillow and OpenCV both turn the pages of a TIFF upright themselves.
    for frame in frames.values() if file_format != "TIFF" else ():
        _turn(frame, orientation)
    ordered = [frames[index] for index in sorted(frames)]
    if is_animation and any(f.alpha is not None for f in ordered):
        for frame in ordered:
            if frame.alpha is None:
                frame.alpha = np.full(frame.pixels.shape[:2], 255, np.uint8)
    # Pillow does not tell how often an AVIF is played: nearly all are played for ever.
    unknown = 0 if file_format == "AVIF" else None
    loop = image.info.get("loop", unknown) if is_animation else None
    if loop and file_format == "GIF":
        # A GIF counts repetitions, the others how often it is played.
        loop += 1
    return Picture(ordered, file_format, metadata, is_animation, loop, notes)


def _reduced_pages(image: Image.Image, count: int) -> set[int]:
    """Pages of a TIFF that are smaller copies of others (NewSubfileType), unless all say so.

    The image is left at the first of the others.
    """
    found = set()
    for index in range(count) if count > 1 else ():
        image.seek(index)
        if tiff_tag(image, _NEW_SUBFILE_TYPE, 0) in _REDUCED:
            found.add(index)
    if len(found) == count:
        found = set()
    image.seek(min(set(range(count)) - found))
    return found


def _deep_frames(
    image: Image.Image, data: bytes, wanted: dict[int, DeepPage], name: str, notes: list[str]
) -> dict[int, Frame]:
    """Frames of 16-bit colour; what is left of cut-off ones, where that is allowed, has 8 bits."""
    try:
        return read_deep_frames(image, data, wanted, name)
    except SrError:
        if not ImageFile.LOAD_TRUNCATED_IMAGES:
            raise
    frames = {}
    for index in wanted:
        image.seek(index)
        image.load()
        frames[index] = Frame(*_pixels(image, name, notes, None))
    _note(notes, "damaged or cut off: read with 8 bits a channel")
    return frames


def _turn(frame: Frame, orientation: int) -> None:
    frame.pixels = upright(frame.pixels, orientation)
    frame.alpha = None if frame.alpha is None else upright(frame.alpha, orientation)


def _check_size(image: Image.Image, frames: int, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height * frames > max_pixels:
        times = f" in {frames} frames" if frames > 1 else ""
        raise SrError(
            f"{name}: declares {width}x{height} pixels{times}, more than {max_pixels}",
            "--max-pixels raises the limit",
        )


def from_pillow(image: Image.Image) -> Frame:
    """The current frame of an image in memory, turned upright. Raises SrError for odd modes."""
    image.load()
    pixels, alpha = _pixels(image, "image", [], image.info.get("icc_profile"))
    orientation = read_metadata(image)[1]
    return Frame(
        upright(pixels, orientation), None if alpha is None else upright(alpha, orientation)
    )


def _pixels(
    image: Image.Image, name: str, notes: list[str], profile: bytes | None
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Gray or RGB pixels of the current frame, and its alpha."""
    mode = image.mode
    if mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16)
        if tiff_tag(image, 258, (16,)) in (12, (12,)):
            deep = (deep << 4 | deep >> 8).astype(np.uint16)
        white_is_zero = tiff_tag(image, 262, 1) == 0
        see_through = image.info.get("transparency")
        alpha = None
        if isinstance(see_through, int):
            alpha = np.where(deep == see_through, 0, 65535).astype(np.uint16)
        return np.ascontiguousarray(65535 - deep if white_is_zero else deep), alpha
    if mode in ("I", "F"):
        values = np.asarray(image)
        if mode == "F" or values.min() < 0 or values.max() > 65535:
            raise SrError(f"{name}: 32-bit pixels are not supported", "convert it to 16 or 8 bits")
        return values.astype(np.uint16), None
    if mode in ("CMYK", "LAB"):
        image = _to_srgb(image, profile, notes)
        mode = image.mode
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    gray = mode in ("1", "L", "LA", "La")
    wanted = ("LA" if gray else "RGBA") if transparent else ("L" if gray else "RGB")
    if mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[mode])
    values = np.asarray(image if image.mode == wanted else image.convert(wanted))
    if not transparent:
        return np.ascontiguousarray(values), None
    colour = values[..., 0] if gray else values[..., :3]
    return np.ascontiguousarray(colour), np.ascontiguousarray(values[..., -1])


def _to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """CMYK and Lab as sRGB: through their profile, or CMYK by a plain formula, which is said."""
    srgb = ImageCms.createProfile("sRGB")
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
                _note(notes, f"{image.mode} converted to sRGB")
                return converted
    _note(notes, f"{image.mode} without a usable profile: converted to sRGB, colours may shift")
    return image.convert("RGB")


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)
