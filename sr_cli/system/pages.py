"""Memory for large pictures, taken from and given back to the system directly."""

from __future__ import annotations

import math
import mmap
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGE = 16 << 20
_CAN_RELEASE = sys.platform.startswith("linux") and hasattr(mmap, "MADV_DONTNEED")


def empty_pixels(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array of unset (large ones: zero) pixels; a large one leaves no hole in the heap."""
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE or not _CAN_RELEASE:
        return np.empty(shape, dtype)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype).reshape(shape)


def release_rows(pixels: NDArray[Any], stop: int) -> None:
    """Give back the memory of rows 0..stop of an array from `empty_pixels`; they read as zero.

    Does nothing for other arrays and on systems where it is not possible.
    """
    owner = pixels.base
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    view = owner if isinstance(owner, memoryview) else None
    pages = view.obj if view is not None else owner
    if not isinstance(pages, mmap.mmap) or not pixels.flags.c_contiguous:
        return
    used = stop * pixels.strides[0] // mmap.PAGESIZE * mmap.PAGESIZE
    if used:
        pages.madvise(mmap.MADV_DONTNEED, 0, used)
