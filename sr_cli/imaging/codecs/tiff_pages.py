"""What a page of a TIFF says of itself, beside its pixels."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from sr_cli.errors import SrError
from sr_cli.imaging.codecs.pillow import PHOTOMETRIC
from sr_cli.imaging.exif import ORIENTATION, RESOLUTION_UNIT, X_RESOLUTION, Y_RESOLUTION
from sr_cli.imaging.georeference import PLACING, TAGS, Georeference
from sr_cli.imaging.picture import PageLabel
from sr_cli.imaging.values import is_wide

GDAL_NODATA = 42113
_DESCRIPTION, _ASCII, _SHORT = 270, 2, 3
WHITE_IS_ZERO, _PALETTE, _MASK = 0, 3, 4
"""Values of PhotometricInterpretation."""

_MASKS = (4, 6)
"""Values of NewSubfileType for masks of full size; damaged values are ignored."""

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


@dataclass(frozen=True)
class PageSize:
    """A page that is written.

    Attributes:
        width, height: In pixels.
        dtype: Of the samples.
        nodata: The value of pixels without a value.
    """

    width: int
    height: int
    dtype: np.dtype[Any]
    nodata: float | None


def georeference_of(page: Any) -> Georeference | None:
    """The tags of GeoTIFF and of GDAL's metadata that a page has; None if it has none."""
    if page is None:
        return None
    found = {code: _value_of(page, code) for code in TAGS if code in page.tags}
    if not found:
        return None
    return Georeference(page.imagewidth, page.imagelength, found, _problem_of(page))


def _value_of(page: Any, code: int) -> Any:
    """Numbers as a tuple, text as bytes."""
    tag = page.tags[code]
    if TAGS[code] == _ASCII:
        return text_of(page, tag)
    number = int if TAGS[code] == _SHORT else float
    value = tag.value
    with suppress(TypeError, ValueError):
        return tuple(number(v) for v in (value if isinstance(value, tuple | list) else (value,)))
    # Of another type: nothing that can be computed with.
    return ()


def text_of(page: Any, tag: Any) -> bytes:
    """The bytes of a text, which tifffile would decode by guess."""
    file = page.parent.filehandle
    file.seek(tag.valueoffset)
    return bytes(file.read(tag.count)).rstrip(b"\0")


def _problem_of(page: Any) -> SrError | None:
    """Why the samples of a page cannot be upscaled as measurements; None if they can.

    Classes are not blended, numbers are not stretched to more bits, and nothing is turned.
    """
    bits = int(np.max(page.bitspersample))
    if page.photometric == _PALETTE:
        return SrError("unsupported-samples", hint="as-rgb", samples=f"{bits}-bit palette")
    if bits % 8 and bits != 1:
        return SrError("unsupported-samples", samples=f"georeferenced {bits}-bit")
    if bits == 1 and nodata_of(page) is not None:
        # They become black and white, and neither is that value.
        return SrError("unsupported-samples", samples="georeferenced 1-bit (with nodata)")
    if bits > 1 and page.photometric == WHITE_IS_ZERO and PHOTOMETRIC in page.tags:
        # Turned around, values are no longer what is measured, and none of them is nodata.
        samples = f"georeferenced white-is-zero {bits}-bit"
        return SrError("unsupported-samples", hint="black-is-zero", samples=samples)
    if page.tags.valueof(ORIENTATION, 1) != 1:
        return SrError("bad-georeference", reason="orientation")
    return None


def is_measured(page: Any) -> bool:
    """Whether the samples of a page are measurements: placed, calibrated, or no plain integers."""
    if page is None:
        return False
    located = any(tag in page.tags for tag in PLACING)
    dtype = np.dtype(page.dtype or "u1")
    # Pages of one bit are of tifffile's type for truth values.
    return located or calibration_of(page) is not None or (dtype.kind != "b" and is_wide(dtype))


def calibration_of(page: Any) -> str | None:
    """The name of a description that is true of the pixels of the input only."""
    text = str(page.description).encode()
    return next((name for mark, name in _CALIBRATIONS.items() if mark in text), None)


def label_of(page: Any) -> PageLabel:
    """Description and resolution of a page, as far as they are true of its result."""
    if page is None or calibration_of(page):
        return PageLabel()
    tag = page.tags.get(_DESCRIPTION)
    is_text = tag is not None and tag.dtype == _ASCII
    text = text_of(page, tag) if is_text else b""
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
