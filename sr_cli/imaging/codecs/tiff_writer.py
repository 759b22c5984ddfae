"""A TIFF writer: pages of any type and number of bands, then the EXIF directories."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.codecs.tiff_calibration import adapt_calibration, imagej_block
from sr_cli.imaging.codecs.tiff_pages import GDAL_NODATA
from sr_cli.imaging.exif import DIRECTORIES, LAYOUT, exif_directory, parse_exif
from sr_cli.imaging.formats import Encoding
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


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write all frames as pages, consuming their memory."""
    import tifffile

    frames = picture.frames
    exif = parse_exif(metadata.exif)
    directories = {code: dict(exif.get_ifd(code)) for code in DIRECTORIES if code in exif}
    tags = _blocks({TIFF_XMP: metadata.xmp, TIFF_IPTC: metadata.iptc}) + _text_tags(exif)
    profiles = metadata.page_icc or (metadata.icc,) * len(frames)
    labels = _labels(metadata, exif, len(frames))
    tags += [(code - 1, 4, 1, 0, True) for code in directories]
    adapted = metadata.calibration and adapt_calibration(metadata.calibration, frames)
    if adapted:
        tags += imagej_block(adapted.extra)
    size = sum(plane.nbytes for f in frames for plane in _planes(f))
    with tifffile.TiffWriter(file, bigtiff=size > _BIG) as writer:
        for index, (frame, label) in enumerate(zip(frames, labels, strict=True)):
            gray = frame.pixels.ndim == 2
            extra = ([_STRAIGHT] if frame.alpha is not None else []) + [b.kind for b in frame.bands]
            channels = (1 if gray else 3) + len(extra)
            shape = (frame.height, frame.width, *([channels] if channels > 1 else []))
            writer.write(
                _packed_strips(frame),
                shape=shape,
                dtype=frame.pixels.dtype,
                photometric="minisblack" if gray else "rgb",
                planarconfig=None if channels == 1 else "contig",
                extrasamples=extra or None,
                compression="zlib",
                rowsperstrip=_ROWS,
                resolution=adapted.resolution if adapted else label.dpi,
                resolutionunit=adapted.unit if adapted else "inch" if label.dpi else None,
                software=exif.get(_SOFTWARE) or False,
                description=adapted.description if adapted and not index else label.description,
                metadata=None,
                extratags=_blocks({TIFF_ICC: profiles[index]})
                + _nodata_tag(frame)
                + (tags if index == 0 else []),
            )
    for code, entries in directories.items():
        _append_directory(file, code, entries)
    return list(adapted.notes) if adapted else []


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


def _nodata_tag(frame: Frame) -> list[Tag]:
    return [] if frame.nodata is None else [(GDAL_NODATA, 2, 0, f"{frame.nodata:.17g}", True)]


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
