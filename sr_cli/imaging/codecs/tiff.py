"""A TIFF reader: pages without reduced copies, and samples that Pillow does not decode."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs.pillow import BITS_PER_SAMPLE, PHOTOMETRIC, tiff_tag
from sr_cli.imaging.codecs.source import OpenFile
from sr_cli.imaging.codecs.tiff_calibration import planes_of_imagej, read_calibration
from sr_cli.imaging.codecs.tiff_pages import (
    WHITE_IS_ZERO,
    calibration_of,
    georeference_of,
    is_mask,
    is_measured,
    label_of,
    nodata_of,
)
from sr_cli.imaging.codecs.tiff_samples import SEPARATE, read_samples
from sr_cli.imaging.codecs.tiff_structure import notes_on_structure
from sr_cli.imaging.conversion import orient_frame, unpremultiply
from sr_cli.imaging.exif import ORIENTATION, without_description
from sr_cli.imaging.formats import check_pixels
from sr_cli.imaging.metadata import TIFF_ICC, TIFF_XMP, read_metadata, read_tiff_metadata
from sr_cli.imaging.picture import Band, Frame, Metadata, Picture
from sr_cli.imaging.profiles import srgb_profile
from sr_cli.imaging.values import is_wide

_NEW_SUBFILE_TYPE = 254
REDUCED = (1, 3, 5, 7)
"""Values of NewSubfileType with the lowest bit set; damaged values are ignored."""

_UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2
"""Values of ExtraSamples; the last two are alpha."""

_RGB = 2
_PLAIN = (WHITE_IS_ZERO, 1, _RGB)
"""Values of PhotometricInterpretation for gray and RGB."""

_UNSIGNED = (1, 4)
"""Values of SampleFormat; 4 is undefined."""

_IMAGES = (2, 3, 4, 6, 7, 33003, 33005, 34712, 50001, 50002)
"""Compressions that decode to whole images, not to samples: fax, JPEG, JPEG 2000, WebP, JPEG XL."""

_OPTIONAL = (50001, 50002)
"""WebP and JPEG XL, without which libtiff can be built."""


def read(source: OpenFile) -> Picture:
    """Decode all pages except reduced copies, upright.

    Raises:
        SrError: As `read_picture`.
    """
    image = source.image
    source.check_size(image.size[0] * image.size[1])
    described = describe(source.data)
    try:
        pages = _full_pages(source, described)
    except (SyntaxError, KeyError) as error:
        # A later page that Pillow does not open.
        picture = read_unopened(
            source.data, source.max_pixels, allow_truncated=source.allow_truncated
        )
        if picture is None:
            raise SrError("unsupported-image", format="TIFF") from error
        for note in picture.notes:
            source.add_note(note)
        return picture
    # Read before the pixels, which Pillow and OpenCV then rotate upright themselves.
    metadata, _ = read_metadata(image)
    profiles: list[bytes | None] = []
    described += [None] * (max(pages) + 1 - len(described))
    frames = list(_read_frames(source, pages, described, profiles))
    full = [described[number] for number in pages]
    for note in add_labels(metadata, full) + notes_on_structure(io.BytesIO(source.data), full):
        source.add_note(note)
    metadata.icc, metadata.page_icc = profiles[0], tuple(profiles)
    return Picture(frames, "TIFF", metadata, measured=any(map(is_measured, full)))


def _full_pages(source: OpenFile, described: Sequence[Any]) -> list[int]:
    """The numbers of the pages that are neither masks nor reduced copies; all if none is.

    Seeks the image to the first of them, and checks the total size.
    """
    image = source.image
    masks = [number for number, page in enumerate(described) if is_mask(page)]
    # To count the pages, Pillow would have to know the mode of masks.
    count = len(described) if masks else int(getattr(image, "n_frames", 1))
    if count == 1:
        return [0]
    sizes, full = {}, []
    numbers = [n for n in range(count) if n not in masks] or list(range(count))
    for number in numbers:
        image.seek(number)
        sizes[number] = image.size[0] * image.size[1]
        if tiff_tag(image, _NEW_SUBFILE_TYPE, 0) not in REDUCED:
            full.append(number)
    full = full or numbers
    if len(numbers) < count:
        source.add_note(Note("mask-pages-skipped", {"count": count - len(numbers)}))
    if len(full) < len(numbers):
        source.add_note(Note("reduced-pages-skipped", {"count": len(numbers) - len(full)}))
    source.check_size(sum(sizes[number] for number in full))
    image.seek(full[0])
    return full


def _read_frames(
    source: OpenFile, pages: Sequence[int], described: Sequence[Any], profiles: list[bytes | None]
) -> Iterator[Frame]:
    """Decode these pages; the profile of each one is added to `profiles`."""
    for number in pages:
        if len(pages) > 1:
            source.image.seek(number)
        # Pillow keeps the profile of an earlier page for one without.
        profile = tiff_tag(source.image, TIFF_ICC, None)
        page = described[number]
        source.is_srgb = False
        if page is None or not _exceeds_pillow(page):
            try:
                frame = _read_plain(source, profile)
            except OSError as error:
                if page is None or page.compression not in _OPTIONAL:
                    raise
                name = page.compression.name
                raise SrError("unsupported-compression", compression=name) from error
        else:
            source.check_size(_pixels_of(page))
            try:
                frame = _read_page(source.data, page, source.allow_truncated)
            except SrError as error:
                if error.code != "damaged-image":
                    raise
                frame = source.read_at_8_bits(error)
        profiles.append(srgb_profile() if source.is_srgb else profile)
        yield replace(frame, nodata=nodata_of(page))


def _read_plain(source: OpenFile, profile: bytes | None) -> Frame:
    """Decode the current page with Pillow."""
    bits = np.max(tiff_tag(source.image, BITS_PER_SAMPLE, 8))
    frame = source.read_frame(profile)
    if frame.pixels.dtype == np.uint8 and bits > 8:
        source.add_note(Note("depth-reduced", {"bits": int(bits)}))
    return frame


def read_header(file: BinaryIO) -> tuple[tuple[int, int], bytes | None]:
    """Upright (width, height) and XMP packet of a TIFF that Pillow does not open."""
    with _tifffile(file) as tiff:
        page = tiff.pages[0]
        xmp = page.tags.valueof(TIFF_XMP)
        turned = page.tags.valueof(ORIENTATION, default=1) in (5, 6, 7, 8)
        size = page.imagewidth, page.imagelength
    return size[::-1] if turned else size, bytes(xmp) if isinstance(xmp, bytes | tuple) else None


def holds_measurements(file: BinaryIO) -> bool:
    """Whether the first page of a TIFF holds measurements, from its header."""
    with _tifffile(file) as tiff:
        return is_measured(tiff.pages[0])


def _tifffile(file: BinaryIO) -> Any:
    """Open a file with tifffile, without its log messages."""
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(file)


def read_unopened(data: bytes, max_pixels: int, *, allow_truncated: bool) -> Picture | None:
    """Decode a TIFF whose first page is of a kind that Pillow does not open.

    Args:
        data: The file.
        max_pixels: The most pixels that all pages together may have.
        allow_truncated: Whether what is missing from the file is 0.

    Returns:
        All pages except reduced copies, upright; None if the file has no pages.

    Raises:
        SrError: As `read_picture`.
    """
    pages = describe(data)
    images = [page for page in pages if not is_mask(page)] or pages
    full = [p for p in images if int(p.subfiletype) not in REDUCED] or images
    if not full:
        return None
    for page in full:
        _check_photometric(page)
    notes: list[Note] = []
    if len(images) < len(pages):
        notes.append(Note("mask-pages-skipped", {"count": len(pages) - len(images)}))
    if len(full) < len(images):
        notes.append(Note("reduced-pages-skipped", {"count": len(images) - len(full)}))
    check_pixels(sum(_pixels_of(page) for page in full), max_pixels)
    frames = [_read_page(data, page, allow_truncated) for page in full]
    metadata, _ = read_tiff_metadata(io.BytesIO(data))
    metadata.page_icc = tuple(profile_of(page) for page in full)
    metadata.icc = metadata.page_icc[0]
    notes += add_labels(metadata, full) + notes_on_structure(io.BytesIO(data), full)
    measured = any(map(is_measured, full))
    return Picture(frames, "TIFF", metadata, notes=notes, measured=measured)


def _check_photometric(page: Any) -> None:
    """Raise `unsupported-samples`, unless a page is gray or RGB."""
    if page.photometric not in _PLAIN:
        name = getattr(page.photometric, "name", page.photometric)
        samples = f"{page.bitspersample}-bit {name} ({page.samplesperpixel} channels)"
        raise SrError("unsupported-samples", hint="as-rgb", samples=samples)


def add_labels(metadata: Metadata, pages: Sequence[Any]) -> list[Note]:
    """Add labels and places of pages, and a calibration in place of what it describes.

    Returns:
        A note if the calibration cannot be made true of a result.
    """
    metadata.page_labels = tuple(label_of(page) for page in pages)
    places = tuple(georeference_of(page) for page in pages)
    metadata.page_places = places if any(places) else ()
    block = None if pages[0] is None else calibration_of(pages[0])
    if block is None:
        return []
    metadata.exif = without_description(metadata.exif)
    metadata.dpi = None
    metadata.calibration = read_calibration(pages)
    missing = [Note("calibration-dropped", {"block": block})] if not metadata.calibration else []
    # Stacks of ImageJ beyond 4 GB have a directory for the first image only.
    further = planes_of_imagej(pages[0]) - len(pages)
    dropped = Note("images-dropped", {"count": further, "kinds": ["other"]})
    return [*missing, dropped] if further > 0 else missing


def profile_of(page: Any) -> bytes | None:
    """The ICC profile of a page."""
    tag = page.tags.get(TIFF_ICC)
    return None if tag is None else bytes(tag.value)


def describe(data: bytes) -> list[Any]:
    """The pages as tifffile describes them; none if it cannot."""
    return describe_file(io.BytesIO(data))


def describe_file(file: BinaryIO) -> list[Any]:
    """As `describe`, of an open file."""
    import tifffile

    try:
        pages = _tifffile(file).pages
        # Iterating over directories that form a circle never ends; their number is known.
        found = [pages[number] for number in range(len(pages))]
    except Exception:
        # It raises errors of many types; the pages may still be plain ones.
        return []
    return [page for page in found if isinstance(page, tifffile.TiffPage)]


def _exceeds_pillow(page: Any) -> bool:
    """Whether Pillow would not decode all bits and bands of a page."""
    if page.photometric not in _PLAIN or page.compression in _IMAGES:
        return False
    kinds = extra_kinds(page)
    further = len(kinds) > 1 or any(kind not in (PREMULTIPLIED, STRAIGHT) for kind in kinds)
    if page.sampleformat not in _UNSIGNED or page.planarconfig == SEPARATE:
        return True
    if page.is_tiled and page.compression == 1:
        # Pillow ends at the first tile that reaches beyond the edges.
        return True
    if page.bitspersample in (1, 2, 4, 8):
        return further
    return page.samplesperpixel > 1 or page.bitspersample not in (12, 16)


def colours_of(page: Any) -> int:
    """Samples that are colour or gray."""
    return 3 if page.photometric == _RGB else 1


def extra_kinds(page: Any) -> tuple[int, ...]:
    """What the samples beyond colour or gray are: values of ExtraSamples."""
    count = page.samplesperpixel - colours_of(page)
    stored: tuple[int, ...] = tuple(int(kind) for kind in page.extrasamples or ())
    if not stored and count == 1:
        return (STRAIGHT,)
    return (*stored, *[_UNSPECIFIED] * count)[: max(0, count)]


def _pixels_of(page: Any) -> int:
    """The pixels of a page, counted again for every four samples."""
    return int(page.imagewidth * page.imagelength * -(-page.samplesperpixel // 4))


def _read_page(data: bytes, page: Any, allow_truncated: bool) -> Frame:
    """Decode a page sample by sample, upright."""
    nodata = nodata_of(page)
    try:
        values = read_samples(data, page, nodata=nodata, allow_truncated=allow_truncated)
    except SrError:
        raise
    except Exception as error:
        raise SrError("damaged-image", hint="allow-truncated", reason=str(error)) from error
    colours, kinds = colours_of(page), extra_kinds(page)
    if values.shape[2] < colours:
        raise SrError("damaged-image", reason="samples are missing")
    colour = np.ascontiguousarray(values[..., :3] if colours == 3 else values[..., 0])
    wide = is_wide(colour.dtype)
    # Writers of measurements leave the tag out, though it is required.
    if page.photometric == WHITE_IS_ZERO and (PHOTOMETRIC in page.tags or not wide):
        if wide:
            samples = f"{colour.dtype} with 0 as white"
            raise SrError("unsupported-samples", hint="black-is-zero", samples=samples)
        colour = np.iinfo(colour.dtype).max - colour
    frame = Frame(colour, nodata=nodata)
    extra = values[..., colours:]
    if kinds and kinds[0] in (PREMULTIPLIED, STRAIGHT) and not wide:
        frame.alpha = np.ascontiguousarray(extra[..., 0])
        if kinds[0] == PREMULTIPLIED:
            frame.pixels = unpremultiply(colour, frame.alpha)
        extra, kinds = extra[..., 1:], kinds[1:]
    frame.bands = [Band(np.ascontiguousarray(extra[..., i]), kind) for i, kind in enumerate(kinds)]
    orient_frame(frame, int(page.tags.valueof(ORIENTATION, 1)))
    return frame
