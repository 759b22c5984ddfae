"""Colour by published matrices, without a profile or a library for colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def srgb_of_p3(colour: tuple[int, ...]) -> NDArray[Any]:
    """Display P3 to sRGB by the published matrices of both (SMPTE EG 432-1, IEC 61966-2-1)."""
    to_xyz = [[0.4865709, 0.2656677, 0.1982173], [0.2289746, 0.6917385, 0.0792869],
              [0.0, 0.0451134, 1.0439444]]  # fmt: skip
    from_xyz = [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560],
                [0.0556434, -0.2040259, 1.0572252]]  # fmt: skip
    encoded = np.array(colour) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(from_xyz) @ np.array(to_xyz) @ linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(int)
