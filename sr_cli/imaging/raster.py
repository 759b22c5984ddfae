"""TIFF files that are read in windows: those that are georeferenced, and large ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note, SrError
from sr_cli.imaging.codecs.tiff import (
    PREMULTIPLIED,
    REDUCED,
    STRAIGHT,
    add_labels,
    colours_of,
    describe_file,
    extra_kinds,
    profile_of,
)
from sr_cli.imaging.codecs.tiff_pages import (
    PageSize,
    calibration_of,
    georeference_of,
    is_mask,
    is_measured,
    nodata_of,
)
from sr_cli.imaging.codecs.tiff_samples import READABLE, SampleReader
from sr_cli.imaging.codecs.tiff_structure import notes_on_structure
from sr_cli.imaging.codecs.tiff_tiles import (
    Layout,
    ReadRows,
    layout_like,
    write_mask,
    write_tiled,
)
from sr_cli.imaging.codecs.tiff_writer import append_directories, describe_pages
from sr_cli.imaging.exif import ORIENTATION
from sr_cli.imaging.formats import FORMATS, SNIFFED, check_pixels, sniff_format
from sr_cli.imaging.further import further_tags
from sr_cli.imaging.metadata import read_tiff_metadata
from sr_cli.imaging.picture import Band, Frame, Metadata, Picture
from sr_cli.imaging.profiles import color_space
from sr_cli.imaging.values import is_wide

WINDOWED_PIXELS = 64_000_000
"""Above it, TIFF files that are not georeferenced are read in windows, too."""

_PLAIN = (1, 2)
"""Values of PhotometricInterpretation for gray with black as 0, and RGB."""

_DEEP = 16
"""Bits up to which the first extra sample may be alpha."""


@dataclass(frozen=True)
class Raster:
    """A TIFF file of one image that is read in windows.

    Attributes:
        picture: The image with its metadata, but without its pixels, which are all 0.
        reader: Of the pixels.
        mask: Of the page that says which pixels have a value, if there is one.
        layout: In which the result is stored.
        overviews: How much smaller the reduced copies in the file are, in ascending order.
    """

    picture: Picture
    reader: SampleReader
    mask: SampleReader | None
    layout: Layout
    overviews: tuple[int, ...]


def is_raster(path: Path) -> bool:
    """Whether a file is read in windows, by its headers."""
    try:
        with path.open("rb") as file:
            return _page_of(file) is not None
    except OSError:
        return False


@contextmanager
def opened_raster(path: Path, max_pixels: int, *, allow_truncated: bool) -> Iterator[Raster]:
    """Open a file for which `is_raster` is true.

    Args:
        path: The file.
        max_pixels: The most pixels of a strip or a row of tiles, which are decoded at once.
        allow_truncated: Whether what is missing from the file is 0.

    Raises:
        SrError: `unreadable-file`, `too-many-pixels`, `unsupported-samples`, `damaged-image`.
    """
    with path.open("rb") as file:
        found = _page_of(file)
        if found is None:
            raise SrError("unsupported-image", format="TIFF")
        page, mask, reduced = found
        nodata = nodata_of(page)
        reader = SampleReader(file, page, nodata=nodata, allow_truncated=allow_truncated)
        hides = mask and SampleReader(file, mask, allow_truncated=allow_truncated)
        for part in (reader, hides) if hides else (reader,):
            check_pixels(min(part.rows, page.imagelength) * page.imagewidth, max_pixels)
        layout = layout_like(page, reader.dtype, colours_of(page), extra_kinds(page))
        picture = _picture_of(file, page, layout, nodata)
        factors = {round(page.imagewidth / p.imagewidth) for p in reduced}
        yield Raster(picture, reader, hides, layout, tuple(sorted(factors - {0, 1})))


class RasterWriter:
    """Writes the result of a raster: the image, then reduced copies of it.

    Args:
        file: Opened for writing and reading, at its start.
        layout: Of the samples.
        metadata: Fitted to TIFF and to the size of the result.
        nodata: The value of pixels without a value.
    """

    def __init__(
        self, file: BinaryIO, layout: Layout, metadata: Metadata, nodata: float | None
    ) -> None:
        self._file = file
        self._layout = layout
        self._metadata = metadata
        self._nodata = nodata
        self._pages = 0
        self.notes: list[Note] = []

    def write(self, size: tuple[int, int], read: ReadRows) -> None:
        """Write a page; the first one is the image.

        Args:
            size: (height, width) in pixels.
            read: Reads (rows, w, samples), from top to bottom.
        """
        page = PageSize(size[1], size[0], self._layout.dtype, self._nodata)
        # Reduced copies say nothing of their own but what has no value.
        metadata = Metadata() if self._pages else self._metadata
        described = describe_pages(metadata, [page])
        first = not self._pages
        write_tiled(self._file, self._layout, size, read, described.pages[0], is_first=first)
        append_directories(self._file, described)
        self.notes += described.notes
        self._pages += 1

    def write_mask(self, size: tuple[int, int], mask: SampleReader) -> None:
        """Write which pixels of the page before have a value: those whose nearest one has.

        Args:
            size: (height, width) of that page.
            mask: Of the page that it was made of.
        """
        h, w, _ = mask.shape
        columns = np.arange(size[1]) * w // size[1]

        def read(first: int, last: int) -> NDArray[np.bool_]:
            rows = np.arange(first, last) * h // size[0]
            top = int(rows[0])
            valid: NDArray[np.bool_] = mask.read(top, int(rows[-1]) + 1)[..., 0] != 0
            return valid[np.ix_(rows - top, columns)]

        write_mask(self._file, self._layout, size, read, is_reduced=self._pages > 1)

    @contextmanager
    def last_page(self) -> Iterator[tuple[SampleReader, SampleReader | None]]:
        """Readers of the page that was written last and of its mask, while others are written."""
        self._file.flush()
        # A handle of its own: the file's position is that of the writer.
        with Path(self._file.name).open("rb") as file:
            pages = describe_file(file)
            mask = SampleReader(file, pages.pop()) if is_mask(pages[-1]) else None
            yield SampleReader(file, pages[-1], nodata=self._nodata), mask


def _page_of(file: BinaryIO) -> tuple[Any, Any, list[Any]] | None:
    """The image of a file that is read in windows, its mask, and its reduced copies.

    None for files that are read at once.
    """
    if sniff_format(file.read(SNIFFED)) is not FORMATS["TIFF"]:
        return None
    file.seek(0)
    pages = describe_file(file)
    full = [page for page in pages if int(page.subfiletype) not in REDUCED]
    masks = [page for page in full if is_mask(page)]
    images = [page for page in full if page not in masks]
    if len(images) != 1 or len(masks) > 1:
        return None
    (page,), mask = images, masks[0] if masks else None
    if mask is not None and not _is_mask_of(mask, page):
        return None
    place = georeference_of(page)
    is_large = page.imagewidth * page.imagelength > WINDOWED_PIXELS
    if not (is_large or (place is not None and place.is_placed)):
        return None
    reduced = [p for p in pages if p not in full and not is_mask(p)]
    return (page, mask, reduced) if _is_plain(page) else None


def _is_mask_of(mask: Any, page: Any) -> bool:
    """Whether a page with a mask can be read, and is of the size of an image."""
    sizes = [(p.imagewidth, p.imagelength) for p in (mask, page)]
    return sizes[0] == sizes[1] and mask.samplesperpixel == 1 and mask.compression in READABLE


def _is_plain(page: Any) -> bool:
    """Whether nothing of a page changes but its size: no other colours, and nothing is turned."""
    kinds = extra_kinds(page)
    profile = profile_of(page)
    return (
        page.photometric in _PLAIN
        and page.compression in READABLE
        and page.tags.valueof(ORIENTATION, 1) == 1
        and calibration_of(page) is None
        and not (kinds[:1] == (PREMULTIPLIED,) and int(np.max(page.bitspersample)) <= _DEEP)
        # The samples of gray with a profile for RGB become RGB.
        and not (profile and colours_of(page) == 1 and color_space(profile) == "RGB")
    )


def _picture_of(file: BinaryIO, page: Any, layout: Layout, nodata: float | None) -> Picture:
    """A picture with everything but its pixels, which take no memory."""
    size = page.imagelength, page.imagewidth
    pixels = np.broadcast_to(layout.dtype.type(0), (*size, 3) if layout.colours == 3 else size)
    plane = np.broadcast_to(layout.dtype.type(0), size)
    extra = list(layout.extra)
    alpha = plane if has_alpha(layout) else None
    bands = [Band(plane, kind) for kind in extra[alpha is not None :]]
    frame = Frame(pixels, alpha, bands=bands, nodata=nodata)
    metadata, _ = read_tiff_metadata(file)
    add_labels(metadata, [page])
    metadata.icc = profile_of(page)
    metadata.further = tuple(dict.fromkeys(further_tags([page])))
    notes = notes_on_structure(file, [page])
    return Picture([frame], "TIFF", metadata, notes=notes, measured=is_measured(page))


def has_alpha(layout: Layout) -> bool:
    """Whether the first sample beyond colour is alpha, and no band."""
    return layout.extra[:1] == (STRAIGHT,) and not is_wide(layout.dtype)
