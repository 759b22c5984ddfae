"""DICOM images as they are shown: through rescaling and window, black to white.

DICOM PS3.3 (2024), C.11.1 (Modality LUT) and C.11.2 (VOI LUT). Windows are applied by pydicom.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.errors import Note
from sr_cli.imaging.codecs.dicom import parse, without_values
from sr_cli.imaging.codecs.dicom_groups import look_of
from sr_cli.imaging.picture import Frame, Picture

_FAR = 1e6
"""Widths from the middle of a window at which every function has reached its end."""


def show(picture: Picture, *, deep: bool) -> None:
    """Replace stored values by those of a display, in place, with a note on how.

    Padding becomes black, and gray that is stored inverted (MONOCHROME1) is turned. Pictures that
    are no stored values of DICOM, or not any more, are not changed.

    Args:
        picture: It is no measurement afterwards.
        deep: Whether more than 8 bits become 16; otherwise all become 8.

    Raises:
        SrError: `damaged-image` for a window or table that cannot be applied.
    """
    if picture.metadata.dicom is None or not picture.measured:
        return
    with without_values("damaged-image"):
        found = parse(io.BytesIO(picture.metadata.dicom))
        stored = int(found.BitsStored)
        dtype = np.dtype(np.uint16 if deep and stored > 8 else np.uint8)
        low = -(2 ** (stored - 1)) if found.PixelRepresentation == 1 else 0
        values = np.arange(low, low + 2**stored)
        looks = [look_of(found, number) for number in range(len(picture.frames))]
        span = cache(partial(_range, values, looks, picture.frames))
        # Without functional groups, all frames have the same look.
        tables = {id(look): _table(look, values, span, dtype) for look in looks}
    frames = []
    for look, frame in zip(looks, picture.frames, strict=True):
        table, _ = tables[id(look)]
        index = np.clip(frame.pixels.astype(np.int32) - low, 0, len(table) - 1)
        pixels = table[index]
        if frame.nodata is not None:
            pixels[frame.pixels == frame.nodata] = 0
        frames.append(Frame(pixels))
    picture.frames, picture.measured = frames, False
    notes = [note for _, note in tables.values()]
    several = any(note != notes[0] for note in notes)
    picture.notes.append(Note("looks-applied", {"count": len(frames)}) if several else notes[0])


def _table(
    look: Any, values: NDArray[Any], span: Callable[[], tuple[float, float]], dtype: np.dtype[Any]
) -> tuple[NDArray[Any], Note]:
    """What a display shows of each stored value, and the note on it."""
    top = int(np.iinfo(dtype).max)
    shares, note = _shares(look, values, span, top)
    if look.PhotometricInterpretation == "MONOCHROME1":
        shares = 1 - shares
    return np.floor(shares * top + 0.5).astype(dtype), note


def _shares(
    found: Any, values: NDArray[Any], span: Callable[[], tuple[float, float]], top: int
) -> tuple[NDArray[np.float64], Note]:
    """The share of white of each stored value, and the note on it."""
    from pydicom.pixels.processing import apply_windowing

    measured = _rescale(found, values)
    if "WindowCenter" in found and "WindowWidth" in found:
        center, width = (_first(found[name].value) for name in ("WindowCenter", "WindowWidth"))
        ends = np.array([center - _FAR * width, center + _FAR * width])
        with np.errstate(over="ignore"):
            black, white = apply_windowing(ends, found)
            shown = apply_windowing(measured, found)
        note = Note("window-applied", {"center": center, "width": width, "top": top})
        return np.clip((shown - black) / (white - black), 0, 1), note
    if "VOILUTSequence" in found:
        entries, white = _look_up(found.VOILUTSequence[0], np.rint(measured).astype(np.int64))
        return np.clip(entries / white, 0, 1), Note("voi-lut-applied", {"top": top})
    black, white = span()
    note = Note("values-narrowed", {"low": black, "high": white, "top": top})
    return np.clip((measured - black) / ((white - black) or 1), 0, 1), note


def _rescale(found: Any, values: NDArray[Any]) -> NDArray[np.float64]:
    """What stored values measure (C.11.1.1)."""
    if found.get("ModalityLUTSequence"):
        return _look_up(found.ModalityLUTSequence[0], values)[0]
    slope, intercept = found.get("RescaleSlope"), found.get("RescaleIntercept")
    if slope is None or intercept is None:
        return values.astype(np.float64)
    return values * float(slope) + float(intercept)


def _look_up(item: Any, values: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """The entries of a table for values, and the largest that it can have (C.11.1.1.1, C.11.2.1.1).

    pydicom 3.0 keeps the positions in a VOI LUT of 8 bits in 8 bits as well.
    """
    count, first, depth = (int(n) for n in item.LUTDescriptor)
    count = count or 1 << 16
    data = item.LUTData
    if isinstance(data, bytes):
        # The header is little endian. Entries of 8 bits may be packed.
        data = np.frombuffer(data, "<u2" if len(data) >= 2 * count else np.uint8)
    if values.min() < 0 and first >= 1 << 15:
        first -= 1 << 16
    entries = np.asarray(data, np.float64)[np.clip(values - first, 0, count - 1)]
    return entries, 2**depth - 1


def _first(value: Any) -> float:
    return float(value if isinstance(value, float | int) else value[0])


def _range(values: NDArray[Any], looks: list[Any], frames: list[Frame]) -> tuple[float, float]:
    """The least and the largest measured value of all pixels that are no padding."""
    ends: list[float] = []
    for look, frame in zip(looks, frames, strict=True):
        known = frame.pixels if frame.nodata is None else frame.pixels[frame.pixels != frame.nodata]
        if known.size:
            measured = _rescale(look, values)
            index = np.array([int(known.min()), int(known.max())]) - values[0]
            ends += measured[np.clip(index, 0, len(measured) - 1)].tolist()
    return (min(ends), max(ends)) if ends else (0.0, 1.0)
