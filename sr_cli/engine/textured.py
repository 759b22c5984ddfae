"""The built-in image on which networks are measured."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sr_cli.imaging.decode import read_picture

WIDTH = 320

_FILE = Path(__file__).with_name("probe.png")
"""64x320: text from a screenshot above grass from a photograph (gb82, public domain)."""


def textured_image(height: int, width: int, channels: int) -> Tensor:
    """The left of the image (1, channels, height, width) in [0, 1], repeated below if it must be.

    Args:
        height: Rows around the middle of the image, with as much text as grass.
        width: At most WIDTH.
        channels: 1 or 3.
    """
    whole = _read()
    start = max(0, (whole.shape[2] - height) // 2)
    rows = torch.arange(start, start + height) % whole.shape[2]
    image = whole[:, :, rows, :width]
    return image if channels == 3 else image.mean(1, keepdim=True)


@lru_cache
def _read() -> Tensor:
    pixels = read_picture(_FILE).frames[0].pixels
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]
