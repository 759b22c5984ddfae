"""Files to pixels: every mode made gray or RGB (with alpha), upright, 8 or 16 bits."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from sr_cli.errors import Note, SrError
from sr_cli.imaging.deep import (
    DeepPage,
    deep_page,
    read_deep_frames,
    read_gray_alpha_tiff,
    tiff_tag,
)
from sr_cli.imaging.formats import DEFAULT_MAX_PIXELS, FORMATS, sniff_format
from sr_cli.imaging.metadata import read_metadata, read_tiff_metadata
from sr_cli.imaging.picture import Frame, Picture, upright

_CONVERSIONS = ("converted-to-srgb", "converted-without-profile")
_NEW_SUBFILE_TYPE = 254
_REDUCED = (1, 3, 5, 7)
"""Its lowest bit, whatever else it says; damaged ones are none of these."""


def read_picture(
    source: Path | bytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    allow_truncated: bool = False,
) -> Picture:
    """Decode a file with all its frames or pages.

    Args:
        source: A file, or the bytes of one, which errors call `stdin`.
        max_pixels: How many pixels it may have over all its frames.
        allow_truncated: Decode what is left of a damaged or truncated file.

    Returns:
        Frames turned upright, gray or RGB, of 8 or 16 bits. Its notes say what was changed.

    Raises:
        SrError: `file-not-found`, `unreadable-file`, `empty-file`, `unknown-image-format`,
            `unsupported-image`, `extra-missing` (HEIC), `damaged-image`, `too-many-pixels`,
            `unsupported-depth`, `unsupported-16-bit-image`, `image-out-of-memory`.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated
    _prepare_pillow()
    name = "stdin" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except FileNotFoundError:
        raise SrError("file-not-found", name) from None
    except OSError as error:
        raise SrError("unreadable-file", name, reason=error.strerror or str(error)) from error
    if not data:
        raise SrError("empty-file", name)
    try:
        return _decode(data, max_pixels)
    except SrError as error:
        raise error.about(name) from error.__cause__
    except MemoryError as error:
        raise SrError("image-out-of-memory", name) from error
    except Exception as error:
        # Decoders answer damage with whatever their parsing trips over.
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        hint = None if allow_truncated else "allow-truncated"
        raise SrError("damaged-image", name, hint=hint, reason=said) from error


def _decode(data: bytes, max_pixels: int) -> Picture:
    try:
        image = Image.open(io.BytesIO(data), formats=_readable())
    except UnidentifiedImageError:
        if sniff_format(data[:32]) is FORMATS["TIFF"]:
            frames = read_gray_alpha_tiff(data, max_pixels)
            if frames is not None:
                metadata, orientation = read_tiff_metadata(data)
                for frame in frames:
                    _turn(frame, orientation)
                return Picture(frames, "TIFF", metadata)
        raise _unidentified(data) from None
    with image:
        return _decode_image(image, data, max_pixels)


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


def _unidentified(data: bytes) -> SrError:
    """Why Pillow does not open it."""
    found = sniff_format(data[:32])
    if found is FORMATS["HEIF"] and "HEIF" not in Image.OPEN:
        return SrError("extra-missing", extra="heif")
    if found is not None:
        return SrError("unsupported-image", format=found.name)
    return SrError("unknown-image-format", known=list(FORMATS))


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


def _decode_image(image: Image.Image, data: bytes, max_pixels: int) -> Picture:
    file_format = {"MPO": "JPEG", "DIB": "BMP"}.get(image.format or "", image.format or "PNG")
    # A phone's multi-picture JPEG holds previews and depth maps beside the photo.
    count = 1 if image.format in ("MPO", "HEIF") else int(getattr(image, "n_frames", 1))
    # The pages of a TIFF each have their own size.
    _check_size(image.size[0] * image.size[1] * (1 if file_format == "TIFF" else count), max_pixels)
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
    notes: list[Note] = []
    if reduced:
        notes.append(Note("reduced-pages-skipped", {"count": len(reduced)}))
    frames: dict[int, Frame] = {}
    deep: dict[int, DeepPage] = {}
    profile = image.info.get("icc_profile")
    for index in range(first, count):
        if index in reduced:
            continue
        if count > 1:
            image.seek(index)
        total += image.size[0] * image.size[1]
        _check_size(total, max_pixels)
        if page := deep_page(image, data):
            deep[index] = page
            continue
        image.load()
        frame, converted = _frame(image, profile)
        frame.duration = float(image.info.get("duration") or 0)
        frames[index] = frame
        notes += [converted] if converted and converted not in notes else []
    if file_format != "TIFF":
        image.load()
    if deep:
        frames |= _deep_frames(image, data, deep, notes)
    metadata, orientation = before_pixels or read_metadata(image)
    if any(note.kind in _CONVERSIONS for note in notes):
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
    image: Image.Image, data: bytes, wanted: dict[int, DeepPage], notes: list[Note]
) -> dict[int, Frame]:
    """Frames of 16-bit colour; what is left of cut-off ones, where that is allowed, has 8 bits."""
    try:
        return read_deep_frames(image, data, wanted)
    except SrError:
        if not ImageFile.LOAD_TRUNCATED_IMAGES:
            raise
    frames = {}
    for index in wanted:
        image.seek(index)
        image.load()
        frames[index], _ = _frame(image, None)
    notes.append(Note("read-at-8-bits"))
    return frames


def _turn(frame: Frame, orientation: int) -> None:
    frame.pixels = upright(frame.pixels, orientation)
    frame.alpha = None if frame.alpha is None else upright(frame.alpha, orientation)


def _check_size(pixels: int, max_pixels: int) -> None:
    if pixels > max_pixels:
        raise SrError("too-many-pixels", pixels=pixels, max_pixels=max_pixels)


def from_pillow(image: Image.Image) -> Frame:
    """The current frame of an image in memory, turned upright.

    Raises:
        SrError: `unsupported-depth`.
    """
    image.load()
    frame, _ = _frame(image, image.info.get("icc_profile"))
    _turn(frame, read_metadata(image)[1])
    return frame


def _frame(image: Image.Image, profile: bytes | None) -> tuple[Frame, Note | None]:
    """The current frame, gray or RGB with its alpha; the note says that colours were converted."""
    note = None
    if image.mode.startswith("I;16"):
        return _sixteen_bit_gray(image), None
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise SrError("unsupported-depth", bits=32)
        return Frame(values.astype(np.uint16)), None
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


def _sixteen_bit_gray(image: Image.Image) -> Frame:
    gray = np.asarray(image).astype(np.uint16)
    if tiff_tag(image, 258, (16,)) in (12, (12,)):
        gray = (gray << 4 | gray >> 8).astype(np.uint16)
    alpha = None
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        alpha = np.where(gray == transparent, 0, 65535).astype(np.uint16)
    white_is_zero = tiff_tag(image, 262, 1) == 0
    return Frame(np.ascontiguousarray(65535 - gray if white_is_zero else gray), alpha)


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, Note]:
    """CMYK and Lab as sRGB: through their profile, or CMYK by a plain formula."""
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
                return converted, Note("converted-to-srgb", {"mode": image.mode})
    return image.convert("RGB"), Note("converted-without-profile", {"mode": image.mode})
