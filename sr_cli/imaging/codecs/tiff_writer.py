"""A TIFF writer: 8 and 16-bit pages strip by strip, followed by the EXIF directories."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from sr_cli.errors import Note
from sr_cli.imaging.exif import DIRECTORIES, LAYOUT, exif_directory, parse_exif
from sr_cli.imaging.formats import Encoding
from sr_cli.imaging.metadata import TIFF_ICC, TIFF_IPTC, TIFF_XMP
from sr_cli.imaging.picture import Frame, Metadata, Picture
from sr_cli.system.memory import release_rows

_LEVEL = 4
_ROWS = 64
_BIG = 3 << 30
"""Bytes of pixels above which the file is a BigTIFF."""

_SOFTWARE, _DESCRIPTION = 0x0131, 0x010E


def write(picture: Picture, file: BinaryIO, metadata: Metadata, encoding: Encoding) -> list[Note]:
    """Write all frames as pages, consuming their memory."""
    import tifffile

    frames = picture.frames
    exif = parse_exif(metadata.exif)
    directories = {code: dict(exif.get_ifd(code)) for code in DIRECTORIES if code in exif}
    tags = _blocks({TIFF_XMP: metadata.xmp, TIFF_IPTC: metadata.iptc}) + _text_tags(exif)
    profiles = metadata.page_icc or (metadata.icc,) * len(frames)
    tags += [(code - 1, 4, 1, 0, True) for code in directories]
    size = sum(f.pixels.nbytes * (2 if f.alpha is not None else 1) for f in frames)
    with tifffile.TiffWriter(file, bigtiff=size > _BIG) as writer:
        for index, frame in enumerate(frames):
            gray, alpha = frame.pixels.ndim == 2, frame.alpha is not None
            channels = (1 if gray else 3) + alpha
            shape = (frame.height, frame.width, *([channels] if channels > 1 else []))
            writer.write(
                _packed_strips(frame),
                shape=shape,
                dtype=frame.pixels.dtype,
                photometric="minisblack" if gray else "rgb",
                planarconfig=None if channels == 1 else "contig",
                extrasamples=["unassalpha"] if alpha else None,
                compression="zlib",
                rowsperstrip=_ROWS,
                resolution=metadata.dpi,
                resolutionunit="inch" if metadata.dpi else None,
                software=exif.get(_SOFTWARE) or False,
                description=exif.get(_DESCRIPTION) or None,
                metadata=None,
                extratags=_blocks({TIFF_ICC: profiles[index]}) + (tags if index == 0 else []),
            )
    for code, entries in directories.items():
        _append_directory(file, code, entries)
    return []


def _packed_strips(frame: Frame) -> Iterator[bytes]:
    """Compressed strips with alpha as the last channel, as tifffile expects them."""
    for y in range(0, frame.height, _ROWS):
        strip = frame.pixels[y : y + _ROWS]
        if frame.alpha is not None:
            strip = np.dstack([strip, frame.alpha[y : y + _ROWS]])
        yield zlib.compress(strip.tobytes(), _LEVEL)
        release_rows(frame.pixels, y + len(strip))


Tag = tuple[int, int, int, Any, bool]
"""As tifffile takes it: code, type, count, value, write once."""


def _blocks(blocks: Mapping[int, bytes | None]) -> list[Tag]:
    """Tags of bytes (XMP) or of undefined type, for the blocks that are there."""
    kinds = {TIFF_XMP: 1}
    return [(c, kinds.get(c, 7), len(block), block, True) for c, block in blocks.items() if block]


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
