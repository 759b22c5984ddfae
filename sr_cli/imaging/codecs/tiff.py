"""A TIFF reader: pages without reduced copies, and the layouts of 16 bits per channel."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs import opencv
from sr_cli.imaging.codecs.pillow import BITS_PER_SAMPLE, PHOTOMETRIC, tiff_tag
from sr_cli.imaging.codecs.source import OpenFile
from sr_cli.imaging.conversion import orient_frame, orient_pixels, unpremultiply
from sr_cli.imaging.exif import ORIENTATION
from sr_cli.imaging.formats import check_pixels
from sr_cli.imaging.metadata import TIFF_ICC, TIFF_XMP, read_metadata, read_tiff_metadata
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.imaging.profiles import srgb_profile

_NEW_SUBFILE_TYPE, _PLANAR_CONFIGURATION, _EXTRA_SAMPLES = 254, 284, 338
_REDUCED = (1, 3, 5, 7)
"""Values of NewSubfileType with the lowest bit set; damaged values are ignored."""

_PREMULTIPLIED, _STRAIGHT = 1, 2
"""Values of ExtraSamples for alpha; 0 is something else."""


def read(source: OpenFile) -> Picture:
    """Decode all pages except reduced copies, upright.

    Raises:
        SrError: As `read_picture`.
    """
    image = source.image
    source.check_size(image.size[0] * image.size[1])
    pages = _full_pages(source)
    # Read before the pixels, which Pillow and OpenCV then rotate upright themselves.
    metadata, _ = read_metadata(image)
    profiles: list[bytes | None] = []
    frames = list(_read_frames(source, pages, profiles))
    metadata.icc, metadata.page_icc = profiles[0], tuple(profiles)
    return Picture(frames, "TIFF", metadata)


def _full_pages(source: OpenFile) -> list[int]:
    """The numbers of the pages that are not reduced copies; all if every page claims to be one.

    Seeks the image to the first of them, and checks the total size.
    """
    image = source.image
    count = int(getattr(image, "n_frames", 1))
    if count == 1:
        return [0]
    sizes, full = [], []
    for number in range(count):
        image.seek(number)
        sizes.append(image.size[0] * image.size[1])
        if tiff_tag(image, _NEW_SUBFILE_TYPE, 0) not in _REDUCED:
            full.append(number)
    full = full or list(range(count))
    if len(full) < count:
        source.add_note(Note("reduced-pages-skipped", {"count": count - len(full)}))
    source.check_size(sum(sizes[number] for number in full))
    image.seek(full[0])
    return full


def _read_frames(
    source: OpenFile, pages: Sequence[int], profiles: list[bytes | None]
) -> Iterator[Frame]:
    """Decode these pages; the profile of each one is added to `profiles`."""
    for number in pages:
        if len(pages) > 1:
            source.image.seek(number)
        # Pillow keeps the profile of an earlier page for one without.
        profile = tiff_tag(source.image, TIFF_ICC, None)
        frame = _read_page(source, number, profile)
        profiles.append(srgb_profile() if source.is_srgb else profile)
        yield frame


def _read_page(source: OpenFile, number: int, profile: bytes | None) -> Frame:
    source.is_srgb = False
    layout = _sixteen_bit_layout(source.image)
    if layout is None:
        bits = np.max(tiff_tag(source.image, BITS_PER_SAMPLE, 8))
        frame = source.read_frame(profile)
        if frame.pixels.dtype == np.uint8 and bits > 8:
            source.add_note(Note("depth-reduced", {"bits": int(bits)}))
        return frame
    try:
        return _read_sixteen_bit(source, number, layout)
    except SrError as error:
        return source.read_at_8_bits(error)


@dataclass(frozen=True)
class _Layout:
    """The layout of a 16-bit page with several channels.

    Attributes:
        extra: The meaning of the fourth channel, a value of ExtraSamples.
        planar: Whether channels are stored one after the other.
        orientation: The EXIF orientation, 1 to 8.
    """

    extra: int
    planar: bool
    orientation: int


def _sixteen_bit_layout(image: Image.Image) -> _Layout | None:
    """The layout of the current page; None if Pillow decodes all of its bits."""
    bits = tiff_tag(image, BITS_PER_SAMPLE, (8,))
    bits = bits if isinstance(bits, tuple) else (bits,)
    if len(bits) < 2 or set(bits) != {16} or tiff_tag(image, PHOTOMETRIC, 2) not in (1, 2):
        return None
    extra = tiff_tag(image, _EXTRA_SAMPLES, _STRAIGHT)
    extra = extra[0] if isinstance(extra, tuple) else extra
    planar = tiff_tag(image, _PLANAR_CONFIGURATION, 1) == 2
    return _Layout(extra, planar, tiff_tag(image, ORIENTATION, 1))


def _read_sixteen_bit(source: OpenFile, number: int, layout: _Layout) -> Frame:
    # OpenCV misreads planar files; pages that it reads are upright already.
    if layout.planar:
        pixels = _read_planes(source.data, number, layout)
    else:
        pixels = opencv.frame_at(source.opencv_frames, number)
    colour, fourth = opencv.split_channels(pixels)
    if fourth is None or layout.extra not in (_PREMULTIPLIED, _STRAIGHT):
        return Frame(colour)
    return _with_alpha(colour, fourth, layout.extra)


def _with_alpha(colour: NDArray[Any], alpha: NDArray[Any], extra: int) -> Frame:
    return Frame(unpremultiply(colour, alpha) if extra == _PREMULTIPLIED else colour, alpha)


def _read_planes(data: bytes, number: int, layout: _Layout) -> NDArray[Any]:
    """Decode a planar page, upright, in BGR order."""
    try:
        with _tifffile(data) as file:
            values = np.moveaxis(file.pages[number].asarray(), 0, -1)
    except Exception as error:
        raise SrError("damaged-image", reason=str(error)) from error
    return orient_pixels(np.dstack([values[..., 2::-1], values[..., 3:]]), layout.orientation)


def read_header(path: Path) -> tuple[tuple[int, int], bytes | None]:
    """Upright (width, height) and XMP packet of a TIFF that Pillow does not open."""
    with path.open("rb") as file, _tifffile(file) as tiff:
        page = tiff.pages[0]
        xmp = page.tags.valueof(TIFF_XMP)
        turned = page.tags.valueof(ORIENTATION, default=1) in (5, 6, 7, 8)
        size = page.imagewidth, page.imagelength
    return size[::-1] if turned else size, bytes(xmp) if isinstance(xmp, bytes | tuple) else None


def _tifffile(source: bytes | BinaryIO) -> Any:
    """Open a file with tifffile, without its log messages."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source)


def read_gray_alpha(data: bytes, max_pixels: int) -> Picture | None:
    """Decode a TIFF of 16-bit gray with alpha, which Pillow does not open.

    Args:
        data: The file.
        max_pixels: The most pixels that all pages together may have.

    Returns:
        All pages upright; None for any other kind of file.

    Raises:
        SrError: `too-many-pixels`; `damaged-image`, also for an unknown compression.
    """
    import tifffile

    try:
        with _tifffile(data) as file:
            pages = [p for p in file.pages if isinstance(p, tifffile.TiffPage)]
            if not pages or any(p.samplesperpixel != 2 or p.dtype != np.uint16 for p in pages):
                return None
            check_pixels(sum(p.imagewidth * p.imagelength for p in pages), max_pixels)
            frames = [_gray_alpha_frame(page) for page in pages]
            profiles = tuple(_profile_of(page) for page in pages)
    except SrError:
        raise
    except Exception as error:
        raise SrError("damaged-image", reason=str(error)) from error
    metadata, orientation = read_tiff_metadata(data)
    metadata.page_icc = profiles
    for frame in frames:
        orient_frame(frame, orientation)
    return Picture(frames, "TIFF", metadata)


def _profile_of(page: Any) -> bytes | None:
    tag = page.tags.get(TIFF_ICC)
    return None if tag is None else bytes(tag.value)


def _gray_alpha_frame(page: Any) -> Frame:
    """Convert a tifffile page with two samples per pixel, not rotated."""
    import tifffile

    values = page.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        values = np.moveaxis(values, 0, -1)
    gray, second = (np.ascontiguousarray(values[..., i]) for i in (0, 1))
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        gray = 65535 - gray
    extra = int((page.extrasamples or (_STRAIGHT,))[0])
    if extra not in (_PREMULTIPLIED, _STRAIGHT):
        return Frame(gray)
    return _with_alpha(gray, second, extra)
