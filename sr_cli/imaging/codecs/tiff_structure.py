"""What the structure of a TIFF holds beyond its pages, and its result does not, so that it is said.

Pyramids in SubIFDs (TIFF Technical Note 1; OME-TIFF specification 6.3, "Sub-resolutions"), and the
order of a cloud-optimised GeoTIFF (OGC 21-026, and GDAL's "Header ghost area").
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, BinaryIO

from sr_cli.errors import Note

_GHOST, _ORDER = b"GDAL_STRUCTURAL_METADATA_SIZE=", b"LAYOUT=IFDS_BEFORE_DATA"
_START = 256
"""Bytes in which GDAL says that a file is cloud-optimised, after the header of a TIFF."""


def notes_on_structure(file: BinaryIO, pages: Iterable[Any]) -> list[Note]:
    """What is said of a file whose pages are upscaled.

    Args:
        file: It is read at its start.
        pages: As tifffile describes them; None for one that it does not know.
    """
    notes = []
    below = sum(_count_below(page) for page in pages)
    if below:
        notes.append(Note("pyramid-dropped", {"count": below}))
    file.seek(0)
    start = file.read(_START)
    if _GHOST in start and _ORDER in start:
        notes.append(Note("cloud-order-dropped"))
    return notes


def _count_below(page: Any) -> int:
    """The images that a page has in directories of its own."""
    with suppress(AttributeError, TypeError, ValueError):
        return len(page.subifds or ())
    return 0
