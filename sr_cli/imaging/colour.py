"""BT.601 luma in studio range, used by the papers' metrics and by some networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966]) / 255
"""Weights of R, G and B in Y, all in [0, 1], without the offset of black (ITU-R BT.601)."""

LUMA_BLACK, LUMA_WHITE = 16 / 255, 235 / 255
LUMA_RANGE = 219 / 255


def luma(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the luma of an image, not rounded.

    Args:
        rgb: (h, w, 3) uint8.

    Returns:
        (h, w) in [16, 235].
    """
    y: NDArray[np.float64] = rgb.astype(np.float64) @ LUMA_WEIGHTS
    y += 255 * LUMA_BLACK
    return y
