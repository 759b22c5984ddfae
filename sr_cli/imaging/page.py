"""Whether an image is a page of text, from its own statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 16
_CONTRAST = 40
"""Between dark and light, in steps of 255, from which a block shows more than paper and noise."""

_MOST_BLOCKS = 4096
_FEWEST_BLOCKS = 8
_NEAR = 0.18
_NEAR_ON_ONE_GROUND = 0.32
_ONE_GROUND = 0.9
"""The share of the blocks that must agree whether their ground is light or dark."""


def is_page(pixels: NDArray[Any]) -> bool:
    """Whether an image is a page of text: a scan, a screenshot, a chart, line art.

    Writing covers less of its ground than half, and the ground is flat. So, within blocks that
    show anything, the median lies near the lightest or near the darkest values; in photographs it
    lies anywhere between. The mean of that distance, as a share of the block's contrast, is up to
    0.16 on clean pages. Blur and shadows raise it to 0.31 on scans, but there the ground of nine
    in ten blocks is the light one, or the dark one, which is so in hardly any photograph.

    Args:
        pixels: (h, w) or (h, w, 3) uint8. Of large images, blocks are taken evenly.
    """
    blocks = _blocks(pixels)
    if not len(blocks):
        return False
    low, middle, high = np.percentile(blocks, [5, 50, 95], axis=1)
    shown = high - low >= _CONTRAST
    if int(shown.sum()) < _FEWEST_BLOCKS:
        return False
    place = (middle - low)[shown] / (high - low)[shown]
    light = float((place > 0.5).mean())
    on_one_ground = max(light, 1 - light) >= _ONE_GROUND
    near = float(np.minimum(place, 1 - place).mean())
    return near < (_NEAR_ON_ONE_GROUND if on_one_ground else _NEAR)


def _blocks(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Up to _MOST_BLOCKS blocks of an image's gray values, spread evenly: (N, _BLOCK**2)."""
    rows, columns = (n // _BLOCK for n in pixels.shape[:2])
    count = min(rows * columns, _MOST_BLOCKS)
    blocks = np.empty((count, _BLOCK * _BLOCK), np.float32)
    for index in range(count):
        row, column = divmod(index * rows * columns // count, columns)
        y, x = row * _BLOCK, column * _BLOCK
        block = pixels[y : y + _BLOCK, x : x + _BLOCK].reshape(_BLOCK * _BLOCK, -1)
        block.mean(1, dtype=np.float32, out=blocks[index])
    return blocks
