"""How an image continues beyond its edges: mirrored, with the edge pixel twice, or repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def positions_beyond(
    first: int, last: int, length: int, *, wrap: bool = False
) -> NDArray[np.int64]:
    """The pixels of an axis that stand at the positions first..last-1, also beyond its ends.

    Mirroring is half-sample symmetric: -1 is pixel 0, -2 is pixel 1. Images are assumed to continue
    so when they are reduced (MATLAB's imresize), and networks lose 2 dB in the outer pixels if the
    edge pixel is left out of the mirror image (`reflect`).

    Args:
        first: The first position; negative before the image.
        last: The position after the last one; above `length` after the image.
        length: Pixels of the axis.
        wrap: Continue with the other end of the image instead.

    Returns:
        (last - first) positions from 0 to length - 1.
    """
    positions = np.arange(first, last, dtype=np.int64)
    if wrap:
        return positions % length
    positions %= 2 * length
    return np.where(positions < length, positions, 2 * length - 1 - positions)
