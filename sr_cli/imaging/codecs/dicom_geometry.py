"""Where the pixels of a DICOM image lie, made true of a result."""

from __future__ import annotations

from typing import Any

import numpy as np

from sr_cli.errors import SrError
from sr_cli.imaging.codecs.dicom_groups import groups_of, macro_of

_SPACINGS = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "ObjectPixelSpacingInCenterOfBeam",
)
"""Pairs: the distance of rows, and that of columns (PS3.3, 10.7.1.1)."""


def move_place(found: Any, across: float, down: float) -> None:
    """Divide the distances of pixels, and move the middle of the first pixel.

    The result covers the same area. The position is that of the middle of the first pixel (PS3.3,
    C.7.6.2.1.1), which is smaller now.

    Args:
        found: A data set, changed in place.
        across: By which the width was multiplied.
        down: By which the height was multiplied.

    Raises:
        SrError: `unsupported-dicom` for a position without orientation and distances.
    """
    for item in (found, *(found.get("DetectorInformationSequence") or [])):
        _move(item, item, found, across, down)
    groups = groups_of(found)
    for group in groups:
        # Frames that share a position have it in the shared group, once.
        if group.get("PlanePositionSequence"):
            names = ("PlaneOrientationSequence", "PixelMeasuresSequence")
            orientation, measures = (macro_of(found, group, name) or {} for name in names)
            _move(group.PlanePositionSequence[0], orientation, measures, across, down)
    _divide(found, across, down)
    for group in groups:
        for name in ("PixelMeasuresSequence", "FramePixelDataPropertiesSequence"):
            for item in group.get(name) or ():
                _divide(item, across, down)


def _move(place: Any, oriented: Any, spaced: Any, across: float, down: float) -> None:
    """Move the middle of the first pixel, if there is a position.

    Args:
        place: With the position, changed in place.
        oriented: With its orientation.
        spaced: With the distances of pixels.
        across, down: As in `move_place`.
    """
    position = _numbers(place, "ImagePositionPatient", 3)
    if position is None:
        return
    orientation = _numbers(oriented, "ImageOrientationPatient", 6)
    spacing = _numbers(spaced, "PixelSpacing", 2)
    if orientation is None or spacing is None:
        raise SrError("unsupported-dicom", kind="position")
    along_row, along_column = orientation[:3], orientation[3:]
    moved = position + along_row * spacing[1] * (1 / across - 1) / 2
    moved = moved + along_column * spacing[0] * (1 / down - 1) / 2
    _set(place, "ImagePositionPatient", moved)


def _divide(found: Any, across: float, down: float) -> None:
    """Divide the distances of pixels."""
    for keyword in _SPACINGS:
        pair = _numbers(found, keyword, 2)
        if pair is not None:
            _set(found, keyword, pair / (down, across))


def _numbers(found: Any, keyword: str, count: int) -> Any:
    """The numbers of an attribute; None if it is not there or empty.

    Raises:
        SrError: `unsupported-dicom` if their count is wrong.
    """
    value = found.get(keyword)
    if value is None or value == "" or (not isinstance(value, float | int) and not len(value)):
        return None
    numbers = np.atleast_1d(np.asarray(value, np.float64))
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise SrError("unsupported-dicom", kind="position")
    return numbers


def _set(found: Any, keyword: str, numbers: Any) -> None:
    """Set numbers: in decimal strings, of at most 16 characters (PS3.5, 6.2), if it has those."""
    from pydicom.valuerep import format_number_as_ds

    is_text = found[keyword].VR == "DS"
    found[keyword].value = [format_number_as_ds(float(n)) if is_text else float(n) for n in numbers]
