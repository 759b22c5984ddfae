"""BT.601 luma and chroma in studio range, the colour space in which the papers measure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RGB_TO_YCBCR = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
"""Rows Y, Cb, Cr on RGB in [0, 1], in 8-bit steps (ITU-R BT.601)."""

YCBCR_OFFSET = np.array([16.0, 128.0, 128.0])


def luma(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """(h, w, 3) uint8 -> (h, w) luma in [16, 235], not rounded."""
    y: NDArray[np.float64] = rgb.astype(np.float64) @ (RGB_TO_YCBCR[0] / 255.0)
    y += YCBCR_OFFSET[0]
    return y
