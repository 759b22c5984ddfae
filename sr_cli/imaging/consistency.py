"""Whether a result, reduced again, gives back its input; and the nearest result that does.

The reduction is MATLAB's bicubic (`sr_cli.imaging.resize`), not rounded. With 8 and 16 bits it is
limited to their range: black and white may stand for what is beyond them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.imaging.resize import Edges, Taps, bicubic_taps, to_samples
from sr_cli.system.memory import empty_pixels

Float = NDArray[np.float32]

_ROWS = 64
"""Input rows that are computed at once."""

_EXACT, _ROUNDED = 0.1, 0.45
"""What may remain, in 255ths, before and after the result is rounded."""

_STEPS, _ROUNDED_STEPS, _ALL = 100, 40, 8
"""The most corrections before and after rounding; those that every row takes part in."""

_WHOLE = 10
"""The rounded corrections that add all that is lacking: more could undo each other forever."""


@dataclass(frozen=True)
class Deviation:
    """How far a result, reduced again, is from its input.

    Attributes:
        largest: Of all samples, in 255ths of the range of values.
        mean: Of all samples, in 255ths of the range of values.
        count: The number of samples that were compared.
    """

    largest: float
    mean: float
    count: int


def join_deviations(parts: Sequence[Deviation]) -> Deviation | None:
    """The deviation of several images together; None if nothing was compared."""
    count = sum(part.count for part in parts)
    if not count:
        return None
    total = sum(part.mean * part.count for part in parts)
    return Deviation(max(part.largest for part in parts), total / count, count)


@dataclass(frozen=True)
class Grid:
    """The resizes between an input and its result, each of rows and columns."""

    down: tuple[Taps, Taps]
    up: tuple[Taps, Taps]


def grid_of(size: tuple[int, int], result: tuple[int, int], wrap: str) -> Grid:
    """The grid for an input (h, w) and its result (height, width)."""
    edges: list[Edges] = ["wrap" if wrap in (axis, "both") else "mirror" for axis in ("y", "x")]
    axes = list(zip(size, result, edges, strict=True))
    down = [bicubic_taps(m, n, n / m, edges=edge) for n, m, edge in axes]
    up = [bicubic_taps(n, m, m / n, edges=edge) for n, m, edge in axes]
    return Grid((down[0], down[1]), (up[0], up[1]))


def find_deviation(
    lr: NDArray[Any],
    sr: NDArray[Any],
    *,
    span: float | None = None,
    counted: NDArray[np.bool_] | None = None,
    wrap: str = "none",
) -> Deviation:
    """Compare a result, reduced again, with its input.

    Args:
        lr: The input, (h, w[, C]).
        sr: Its result, (height, width[, C]), of the same range of values.
        span: The size of the range of values; None for that of the type, 1 for floats.
        counted: (h, w), the pixels that count; None for all.
        wrap: As in `EngineOptions`.

    Example:
        >>> import numpy as np
        >>> from sr_cli import find_deviation, upscale_image
        >>> image = np.full((24, 32, 3), 200, np.uint8)
        >>> result = upscale_image(image, model="espcn", scale=2, consistent=True)
        >>> find_deviation(image, result).largest < 0.5
        True
    """
    rows, columns = grid_of(lr.shape[:2], sr.shape[:2], wrap).down
    largest, total, count = 0.0, 0.0, 0
    for y in range(0, len(lr), _ROWS):
        part = slice(y, min(y + _ROWS, len(lr)))
        tall = rows.rows(part.start, part.stop).apply(sr)
        reduced = columns.apply(tall.swapaxes(0, 1)).swapaxes(0, 1)
        if lr.dtype in (np.uint8, np.uint16):
            reduced = reduced.clip(0, white_of(lr.dtype))
        apart = np.abs(reduced - lr[part])
        apart = apart if counted is None else apart[counted[part]]
        if apart.size:
            largest = max(largest, float(apart.max()))
            total, count = total + float(apart.sum()), count + apart.size
    scale = 255 / (white_of(lr.dtype) if span is None else span)
    return Deviation(largest * scale, total * scale / max(count, 1), count)


def white_of(dtype: np.dtype[Any]) -> float:
    """The upper end of the range of a type from 0: 1 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def project(lr: NDArray[Any], sr: NDArray[Any], *, wrap: str = "none") -> NDArray[Any]:
    """The nearest result that gives back its input when it is reduced.

    What a reduced result lacks is enlarged with bicubic, the transposed reduction, and added: the
    back-projection of Irani and Peleg (1991, section 3). All additions together are one image of
    the input's size, the multipliers of the constraint, so that the change is the smallest one
    within the range of values (Uzawa's method); their ascent is accelerated (Beck and Teboulle
    2009, section 4). Then results of 8 bits are rounded, and where that is too far off, corrected
    until it is not.

    Args:
        lr: The input, (h, w[, C]), uint8, uint16, or float32 in [0, 1].
        sr: Its result, (height, width[, C]), of the same type, or of 16 bits for one of 8, so that
            it is rounded only once.
        wrap: As in `EngineOptions`.

    Returns:
        Of the type of `lr`.
    """
    return _Projection(lr, sr, grid_of(lr.shape[:2], sr.shape[:2], wrap)).run()


class _Projection:
    """The state of a projection; values are 255ths of the range."""

    def __init__(self, lr: NDArray[Any], sr: NDArray[Any], grid: Grid) -> None:
        self._lr = lr
        self._sr = sr
        self._grid = grid
        self._to_255 = np.float32(255 / white_of(lr.dtype))
        self._sr_to_255 = np.float32(255 / white_of(sr.dtype))
        self._added = np.zeros(lr.shape, np.float32)
        self._rounds = lr.dtype == np.uint8
        self._saturates = lr.dtype in (np.uint8, np.uint16)

    def run(self) -> NDArray[Any]:
        self._ascend()
        if self._rounds:
            self._correct_rounding()
        made = empty_pixels(self._sr.shape, self._lr.dtype)
        for y in range(0, len(made), _ROWS):
            rows = np.arange(y, min(y + _ROWS, len(made)))
            values = self._result(rows, self._added, rounded=False)
            made[rows[0] : rows[-1] + 1] = to_samples(
                (values / self._to_255).astype(np.float64), made.dtype
            )
        return made

    def _ascend(self) -> None:
        """Accelerated steps, at last only where something remains."""
        bands = self._bands()
        ahead = self._added.copy()
        active = np.ones(len(bands), np.bool_)
        pace = 1.0
        for step in range(_STEPS):
            left = [
                self._lacking(band, ahead, rounded=False) if active[number] else None
                for number, band in enumerate(bands)
            ]
            following = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
            for band, lacking in zip(bands, left, strict=True):
                if lacking is not None:
                    new = self._limited(band, ahead[band] + lacking)
                    ahead[band] = new + (pace - 1) / following * (new - self._added[band])
                    self._added[band] = new
            pace = following
            remains = [
                lack is not None and bool(np.abs(self._limited(band, lack)).max() > _EXACT)
                for band, lack in zip(bands, left, strict=True)
            ]
            if not any(remains):
                return
            if step >= _ALL:
                active = _with_neighbours(remains)

    def _correct_rounding(self) -> None:
        """Steps with the rounded result, only where it is too far off."""
        bands = self._bands()
        active = np.ones(len(bands), np.bool_)
        for step in range(_ROUNDED_STEPS):
            left = [
                self._lacking(band, self._added, rounded=True) if active[number] else None
                for number, band in enumerate(bands)
            ]
            remains = []
            for band, lacking in zip(bands, left, strict=True):
                remains.append(False)
                if lacking is not None:
                    wrong = self._limited(band, lacking)
                    wrong[np.abs(wrong) <= _ROUNDED] = 0
                    self._added[band] += wrong if step < _WHOLE else wrong / 2
                    remains[-1] = bool(wrong.any())
            if not any(remains):
                return
            active = _with_neighbours(remains)

    def _bands(self) -> list[slice]:
        h = len(self._lr)
        return [slice(y, min(y + _ROWS, h)) for y in range(0, h, _ROWS)]

    def _lacking(self, band: slice, added: Float, *, rounded: bool) -> Float:
        """What the reduced result lacks in some rows of the input."""
        rows, columns = self._grid.down
        index = rows.index[band]
        needed = np.unique(index)
        values = self._result(needed, added, rounded=rounded)
        tall = _apply(np.searchsorted(needed, index), rows.weight[band], values)
        reduced = _turned(_apply(columns.index, columns.weight, _turned(tall)))
        lacking: Float = self._lr[band] * self._to_255 - reduced
        return lacking

    def _limited(self, band: slice, values: Float) -> Float:
        """Without what is below 0 where the input is white, and above 0 where it is black."""
        if not self._saturates:
            return values
        lr = self._lr[band]
        low = np.where(lr == np.iinfo(lr.dtype).max, np.float32(0), np.float32(-np.inf))
        high = np.where(lr == 0, np.float32(0), np.float32(np.inf))
        return np.clip(values, low, high)

    def _result(self, rows: NDArray[np.int64], added: Float, *, rounded: bool) -> Float:
        """Rows of the result so far, limited to the range of values."""
        up, columns = self._grid.up
        more = _apply(up.index[rows], up.weight[rows], added)
        more = _turned(_apply(columns.index, columns.weight, _turned(more)))
        more += self._sr[rows] * self._sr_to_255
        if rounded:
            np.floor(more + np.float32(0.5), out=more)
        return np.clip(more, 0, 255, out=more)


def _with_neighbours(remains: Sequence[bool]) -> NDArray[np.bool_]:
    """Bands in which something remains, and those beside them, round the ends as well."""
    found = np.array(remains)
    active: NDArray[np.bool_] = found | np.roll(found, 1) | np.roll(found, -1)
    return active


def _apply(index: NDArray[Any], weight: NDArray[Any], pixels: NDArray[Any]) -> Float:
    """As `Taps.apply`, in float32, which is twice as fast."""
    shape = (-1,) + (1,) * (pixels.ndim - 1)
    total: Float = np.zeros((len(index), *pixels.shape[1:]), np.float32)
    for tap in range(index.shape[1]):
        total += weight[:, tap].astype(np.float32).reshape(shape) * pixels[index[:, tap]]
    return total


def _turned(pixels: Float) -> Float:
    return np.ascontiguousarray(pixels.swapaxes(0, 1))
