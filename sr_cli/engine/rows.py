"""Rows of images that are never whole in memory: read or computed when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ReadRows = Callable[[int, int], NDArray[Any]]
"""Reads the rows from the first number up to the second."""


@dataclass(frozen=True)
class RowSource:
    """The rows of an image, with as much of an array as reading tiles takes.

    Attributes:
        shape: (h, w) or (h, w, C).
        dtype: Of the samples.
        read: Reads some of the rows.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: ReadRows

    @property
    def nbytes(self) -> int:
        """Bytes in memory: none for longer than a tile is read."""
        return 0

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        if isinstance(rows, slice):
            return self.read(rows.start, rows.stop)
        first = int(rows.min())
        chosen: NDArray[Any] = self.read(first, int(rows.max()) + 1)[rows - first]
        return chosen


class SlidingRows:
    """Rows that come in bands from top to bottom; what no reader needs any more is dropped.

    Each reader may begin anywhere in what it has read before, but not above.

    Args:
        bands: Consecutive rows.
        start: The number of the first one.
    """

    def __init__(self, bands: Iterator[NDArray[Any]], start: int = 0) -> None:
        self._bands = bands
        self._kept: list[NDArray[Any]] = []
        self._start = self._stop = start
        self._needed: list[int] = []

    def reader(self) -> ReadRows:
        """A new reader; all are to be made before the first one reads."""
        number = len(self._needed)
        self._needed.append(0)

        def read(first: int, last: int) -> NDArray[Any]:
            while self._stop < last:
                band = next(self._bands)
                self._kept.append(band)
                self._stop += len(band)
            self._needed[number] = first
            self._drop(min(self._needed))
            return self._rows(first, last)

        return read

    def _rows(self, first: int, last: int) -> NDArray[Any]:
        parts, top = [], self._start
        for band in self._kept:
            part = band[max(0, first - top) : max(0, last - top)]
            parts += [part] if len(part) else []
            top += len(band)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _drop(self, before: int) -> None:
        while self._kept and self._start + len(self._kept[0]) <= before:
            self._start += len(self._kept.pop(0))
