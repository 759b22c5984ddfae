"""Samples that are measurements: floats, and integers other than uint8 and uint16.

Networks expect [0, 1]. Values are mapped to it by their range and back, so that a result has the
type and the range of its input. Pixels without a value stay so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROWS = 64
_ENDS = {"f": (1,), "i": (255, 1023, 4095, 16383, 65535), "u": (255, 1023, 4095, 16383, 65535)}
"""The upper ends of the usual ranges from 0, by kind of type."""

_SHARE = 4
"""Integers must take at least this part of a usual range: of less, networks see too little."""


@dataclass(frozen=True)
class Span:
    """The range of values that corresponds to [0, 1]."""

    low: float
    high: float

    def to_unit(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Map values to [0, 1]."""
        unit = np.empty(values.shape, np.float32)
        size = (self.high - self.low) or 1.0
        for y in range(0, len(values), _ROWS):
            unit[y : y + _ROWS] = (values[y : y + _ROWS].astype(np.float64) - self.low) / size
        return unit

    def from_unit(self, unit: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Map [0, 1] to values of a type; what lies beyond is limited, integers are rounded."""
        values = np.empty(unit.shape, dtype)
        for y in range(0, len(unit), _ROWS):
            part = unit[y : y + _ROWS].astype(np.float64)
            np.clip(part, 0, 1, out=part)
            part *= self.high - self.low
            part += self.low
            if dtype.kind != "f":
                part += 0.5
                np.floor(part, out=part)
            values[y : y + _ROWS] = part
        return values


def is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether a type is none of the two that are images as they are, uint8 and uint16."""
    return dtype not in (np.uint8, np.uint16)


def stored_value(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """The value for nodata as a type stores it; None if there is none, or the type cannot hold it.

    A float32 is not equal to the same number in decimal digits.
    """
    if nodata is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        stored = np.float64(nodata).astype(dtype)
    return stored if dtype.kind == "f" or stored == nodata else None


def find_missing(pixels: NDArray[Any], nodata: float | None) -> NDArray[np.bool_] | None:
    """Find the pixels without a value.

    Args:
        pixels: (h, w) or (h, w, C).
        nodata: The value that means none, if there is one.

    Returns:
        (h, w): NaN or infinite in any channel, or `nodata` in all; None if there are no such.
    """
    if pixels.dtype.kind != "f" and nodata is None:
        return None
    missing = np.zeros(pixels.shape[:2], np.bool_)
    if pixels.dtype.kind == "f":
        missing |= ~_in_all(np.isfinite(pixels))
    stored = stored_value(nodata, pixels.dtype)
    if stored is not None:
        missing |= _in_all(pixels == stored)
    return missing if missing.any() else None


def find_span(pixels: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> Span:
    """Find the range of values that is mapped to [0, 1].

    Floats within 0 to 1 are left as they are. Integers have the smallest of 8, 10, 12, 14 or 16
    bits that holds them if they take a quarter of it. All others have the range from the least to
    the largest value. TIFF 6.0 (section 8) has tags for both, MinSampleValue and MaxSampleValue,
    but for statistics only.

    Args:
        pixels: (h, w) or (h, w, C), not all missing.
        missing: The pixels that do not count.
    """
    known = pixels if missing is None else pixels[~missing]
    return span_between(known.min().item(), known.max().item(), pixels.dtype)


def span_between(low: float, high: float, dtype: np.dtype[Any]) -> Span:
    """As `find_span`, from the least and the largest value."""
    for end in _ENDS[dtype.kind]:
        fills = dtype.kind == "f" or (high - low) * _SHARE >= end
        if low >= 0 and high <= end and fills:
            return Span(0, end)
    return Span(low, high)


def restore_missing(
    sr: NDArray[Any], lr: NDArray[Any], missing: NDArray[np.bool_] | None, nodata: float | None
) -> None:
    """Put pixels without a value back into a result, in place, and make sure that no others are so.

    Args:
        sr: (h, w) or (h, w, 3), where missing pixels were filled.
        lr: For each pixel of the result the nearest one of the input.
        missing: Which of those have no value; None if all have one.
        nodata: The value that means none, if there is one.
    """
    stored = stored_value(nodata, sr.dtype)
    if stored is not None and np.isfinite(stored):
        sr[_in_all(sr == stored)] = _beside(stored)
    if missing is not None:
        sr[missing] = lr[missing]


def _beside(value: Any) -> Any:
    """The nearest other value of the same type, above it if there is one."""
    if value.dtype.kind == "f":
        return np.nextafter(value, value.dtype.type(np.inf if value <= 0 else 0))
    return value - 1 if value == np.iinfo(value.dtype).max else value + 1


def join_spans(spans: Sequence[Span]) -> Span:
    """The range that includes all of these."""
    return Span(min(s.low for s in spans), max(s.high for s in spans))


def flatten_values(
    pixels: NDArray[Any], span: Span, missing: NDArray[np.bool_] | None, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Map values to all of uint8 or uint16; pixels without a value become 0."""
    top = np.iinfo(dtype).max
    filled = pixels if missing is None else np.where(_as_channels(missing, pixels), 0, pixels)
    flat = Span(0, top).from_unit(span.to_unit(filled), dtype)
    return flat if missing is None else np.where(_as_channels(missing, flat), 0, flat)


def _in_all(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(h, w): where it is so in all channels, if there are any."""
    if found.ndim == 2:
        return found
    # NumPy's `all` takes many times as long along an axis of three.
    planes = [found[..., channel] for channel in range(found.shape[2])]
    made: NDArray[np.bool_] = np.logical_and.reduce(planes)
    return made


def _as_channels(mask: NDArray[np.bool_], pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return mask if pixels.ndim == 2 else mask[..., None]
