"""What a page of a TIFF says of itself, beside its pixels."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from sr_cli.errors import Note
from sr_cli.imaging.exif import RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION
from sr_cli.imaging.picture import PageLabel
from sr_cli.imaging.values import is_wide

GDAL_NODATA = 42113
_DESCRIPTION, _ASCII = 270, 2
_MASK = 4
"""A value of PhotometricInterpretation."""

_MASKS = (4, 6)
"""Values of NewSubfileType for masks of full size; damaged values are ignored."""

GEOREFERENCE = (33550, 33922, 34264, 34735)
"""Scale, tie points, transformation and keys of GeoTIFF 1.1 (sections 7.1 and 7.2)."""

IMAGEJ, OME = "ImageJ calibration", "OME-XML"
_CALIBRATIONS = {b"ImageJ=": IMAGEJ, b"openmicroscopy.org/Schemas/OME": OME}
"""What marks a description that states the number or the physical size of pixels: the first line
that ImageJ writes, and the namespace of OME-XML (OME-TIFF specification, "The OME-XML block")."""

_INCH = 2
_PER_INCH = {_INCH: 1.0, 3: 2.54}
"""By ResolutionUnit (TIFF 6.0, section 8)."""


def is_mask(page: Any) -> bool:
    """Whether a page is a transparency mask of another one (TIFF 6.0, section 8)."""
    return page is not None and (page.photometric == _MASK or int(page.subfiletype) in _MASKS)


def notes_of(page: Any) -> list[Note]:
    """What the result of a page cannot keep; `page` is None if tifffile cannot describe it."""
    if page is None:
        return []
    located = any(tag in page.tags for tag in GEOREFERENCE)
    return [Note("georeference-dropped")] if located else []


def is_measured(page: Any) -> bool:
    """Whether the samples of a page are measurements: placed, calibrated, or no plain integers."""
    if page is None:
        return False
    located = any(tag in page.tags for tag in GEOREFERENCE)
    dtype = np.dtype(page.dtype or "u1")
    # Pages of one bit are of tifffile's type for truth values.
    return located or calibration_of(page) is not None or (dtype.kind != "b" and is_wide(dtype))


def calibration_of(page: Any) -> str | None:
    """The name of a description that is true of the pixels of the input only."""
    text = str(page.description).encode()
    return next((name for mark, name in _CALIBRATIONS.items() if mark in text), None)


def label_of(data: bytes, page: Any) -> PageLabel:
    """Description and resolution of a page, as far as they are true of its result."""
    if page is None or calibration_of(page):
        return PageLabel()
    tag = page.tags.get(_DESCRIPTION)
    is_text = tag is not None and tag.dtype == _ASCII
    text = data[tag.valueoffset : tag.valueoffset + tag.count].rstrip(b"\0") if is_text else b""
    dpi = None
    # A value that is no pair of positive numbers, or a unit that only gives an aspect ratio.
    with suppress(TypeError, ValueError, ZeroDivisionError, KeyError):
        unit = _PER_INCH[int(page.tags.valueof(RESOLUTION_UNIT, _INCH))]
        pairs = [page.tags[tag].value for tag in (X_RESOLUTION, Y_RESOLUTION)]
        across, down = (above / below * unit for above, below in pairs)
        dpi = (across, down) if 0 < across < 1e6 and 0 < down < 1e6 else None
    return PageLabel(text or None, dpi)


def nodata_of(page: Any) -> float | None:
    """The value of pixels without a value, in the tag that GDAL defines for it."""
    if page is None:
        return None
    with suppress(TypeError, ValueError):
        return float(page.tags.valueof(GDAL_NODATA, ""))
    return None
