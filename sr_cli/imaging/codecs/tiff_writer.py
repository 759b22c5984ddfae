"""A TIFF writer: pages of any type and number of bands, then the EXIF directories."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.codecs.tiff_calibration import adapt_calibration, imagej_block
from sr_cli.imaging.codecs.tiff_pages import GDAL_NODATA, PageSize
from sr_cli.imaging.exif import DIRECTORIES, LAYOUT, exif_directory, parse_exif
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.georeference import TAGS, Georeference
from sr_cli.imaging.metadata import TIFF_ICC, TIFF_IPTC, TIFF_XMP
from sr_cli.imaging.picture import Frame, Metadata, PageLabel, Picture
from sr_cli.system.memory import release_rows

_LEVEL = 4
_ROWS = 64
_BIG = 3 << 30
"""Bytes of pixels above which the file is a BigTIFF."""

_STRAIGHT = 2
"""The value of ExtraSamples for alpha."""

_SOFTWARE, _DESCRIPTION = 0x0131, 0x010E
_SHAPE = b'{"shape":'


@dataclass(frozen=True)
class Descriptions:
    """What a file says beside its pixels.

    Attributes:
        pages: Options of tifffile for each page.
        directories: The EXIF directories, by tag.
        notes: What is no longer true of the result.
    """

    pages: list[dict[str, Any]]
    directories: dict[int, dict[int, Any]]
    notes: list[Note]


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write all frames as pages, consuming their memory."""
    import tifffile

    frames = picture.frames
    sizes = [
        PageSize(frame.width, frame.height, frame.pixels.dtype, frame.nodata) for frame in frames
    ]
    described = describe_pages(metadata, sizes)
    size = sum(plane.nbytes for f in frames for plane in _planes(f))
    with tifffile.TiffWriter(file, bigtiff=size > _BIG) as writer:
        for frame, options in zip(frames, described.pages, strict=True):
            colours = 1 if frame.pixels.ndim == 2 else 3
            extra = ([_STRAIGHT] if frame.alpha is not None else []) + [b.kind for b in frame.bands]
            writer.write(
                _packed_strips(frame),
                **sample_options((frame.height, frame.width), colours, extra),
                dtype=frame.pixels.dtype,
                compression="zlib",
                rowsperstrip=_ROWS,
                **options,
            )
    append_directories(file, described)
    return described.notes


def describe_pages(metadata: Metadata, pages: Sequence[PageSize]) -> Descriptions:
    """What a file says beside its pixels: the main directory with the first page."""
    exif = parse_exif(metadata.exif)
    directories: dict[int, dict[int, Any]] = {
        code: dict(exif.get_ifd(code)) for code in DIRECTORIES if code in exif
    }
    tags = _blocks({TIFF_XMP: metadata.xmp, TIFF_IPTC: metadata.iptc}) + _text_tags(exif)
    tags += [(code - 1, 4, 1, 0, True) for code in directories]
    adapted = metadata.calibration and adapt_calibration(metadata.calibration, pages)
    if adapted:
        tags += imagej_block(adapted.extra)
    profiles = metadata.page_icc or (metadata.icc,) * len(pages)
    labels = _labels(metadata, exif, len(pages))
    # Pages that were dropped are the last ones.
    places = [*metadata.page_places[: len(pages)], *[None] * len(pages)]
    described, notes = [], list(adapted.notes) if adapted else []
    for index, (page, label) in enumerate(zip(pages, labels, strict=True)):
        place, said = _place_of(places[index], page)
        notes += said
        described.append(
            {
                "resolution": adapted.resolution if adapted else label.dpi,
                "resolutionunit": adapted.unit if adapted else "inch" if label.dpi else None,
                "software": exif.get(_SOFTWARE) or False,
                "description": adapted.description if adapted and not index else label.description,
                "metadata": None,
                "extratags": _blocks({TIFF_ICC: profiles[index]})
                + _nodata_tag(page.nodata)
                + place
                + (tags if index == 0 else []),
            }
        )
    return Descriptions(described, directories, notes)


def sample_options(size: tuple[int, int], colours: int, extra: Sequence[int]) -> dict[str, Any]:
    """tifffile's options for samples one beside the other.

    Args:
        size: (height, width) in pixels.
        colours: 1 for gray, 3 for RGB.
        extra: Values of ExtraSamples for the others.
    """
    channels = colours + len(extra)
    return {
        "shape": (*size, *([channels] if channels > 1 else [])),
        "photometric": "minisblack" if colours == 1 else "rgb",
        "planarconfig": None if channels == 1 else "contig",
        "extrasamples": list(extra) or None,
    }


def append_directories(file: BinaryIO, described: Descriptions) -> None:
    """Append the EXIF directories to a TIFF that is otherwise complete."""
    for code, entries in described.directories.items():
        _append_directory(file, code, entries)


def _labels(metadata: Metadata, exif: Any, count: int) -> list[PageLabel]:
    """The label of each page, without descriptions by tifffile: the shape of the input."""
    found = exif.get(_DESCRIPTION) or None
    first = PageLabel(found.encode() if isinstance(found, str) else found, metadata.dpi)
    own = metadata.page_labels
    labels = [first, *(own[1:] if len(own) == count else [first] * (count - 1))]
    return [
        replace(label, description=None) if (label.description or b"").startswith(_SHAPE) else label
        for label in labels
    ]


def _packed_strips(frame: Frame) -> Iterator[bytes]:
    """Compressed strips of all planes, as tifffile expects them."""
    planes = _planes(frame)
    for y in range(0, frame.height, _ROWS):
        strips = [plane[y : y + _ROWS] for plane in planes]
        strip = np.dstack(strips) if len(strips) > 1 else strips[0]
        yield zlib.compress(strip.tobytes(), _LEVEL)
        release_rows(frame.pixels, y + len(strip))


def _planes(frame: Frame) -> list[NDArray[Any]]:
    """Colour, alpha and bands, in the order of the file."""
    alpha = [] if frame.alpha is None else [frame.alpha]
    return [frame.pixels, *alpha, *(band.pixels for band in frame.bands)]


Tag = tuple[int, int, int, Any, bool]
"""As tifffile takes it: code, type, count, value, write once."""


def _blocks(blocks: Mapping[int, bytes | None]) -> list[Tag]:
    """Tags of bytes (XMP) or of undefined type, for the blocks that are there."""
    kinds = {TIFF_XMP: 1}
    return [(c, kinds.get(c, 7), len(block), block, True) for c, block in blocks.items() if block]


def _nodata_tag(nodata: float | None) -> list[Tag]:
    return [] if nodata is None else [(GDAL_NODATA, 2, 0, f"{nodata:.17g}", True)]


def _place_of(place: Georeference | None, page: PageSize) -> tuple[list[Tag], list[Note]]:
    """The tags that place the result of a page on the ground."""
    if place is None:
        return [], []
    kept, notes = place.without_statistics()
    return [
        (code, TAGS[code], 0, value + b"\0", True)
        if isinstance(value, bytes)
        else (code, TAGS[code], len(value), value, True)
        for code, value in kept.resized(page.width, page.height).tags.items()
    ], notes


def _text_tags(exif: Any) -> list[Tag]:
    tags: list[Tag] = []
    for tag, text in exif.items():
        if tag in (_SOFTWARE, _DESCRIPTION, *LAYOUT, *DIRECTORIES):
            continue
        if isinstance(text, bytes):
            # 0x9C9B to 0x9C9F (titles and authors of Windows) are bytes; the others are text.
            is_text = not 0x9C9B <= tag <= 0x9C9F
            tags.append(
                (tag, 2, 0, text + b"\0", True) if is_text else (tag, 1, len(text), text, True)
            )
        elif isinstance(text, int):
            tags.append((tag, 3, 1, text, True))
    return tags


def _append_directory(file: BinaryIO, code: int, entries: dict[int, Any]) -> None:
    """Append the EXIF or GPS directory to a TIFF and point its tag to it.

    tifffile does not write this tag: the unused code before it serves as a placeholder.
    """
    import tifffile

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        entry = tiff.pages[0].tags[code - 1]
        tag_at, value_at = entry.offset, entry.valueoffset
        order, big = tiff.byteorder, tiff.is_bigtiff
    directory = exif_directory(code, entries, order, big=big)
    end = file.seek(0, io.SEEK_END)
    end += file.write(b"\0" * (end % 2))
    file.write(directory.tobytes(end))
    for position, content in (
        (tag_at, struct.pack(order + "H", code)),
        (value_at, struct.pack(order + ("Q" if big else "I"), end)),
    ):
        file.seek(position)
        file.write(content)
    file.seek(0, io.SEEK_END)
