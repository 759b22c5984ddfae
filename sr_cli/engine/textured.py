"""The built-in image on which networks are measured."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@lru_cache
def textured_image(side: int) -> Tensor:
    """A textured image (1, 3, side, side) in [0, 1] that is the same on every machine.

    Disks of all sizes that cover each other have the statistics of natural images, with edges at
    every contrast and scale (Lee, Mumford, Huang: "Occlusion models for natural images", IJCV
    2001). Some disks are striped and some are grainy.
    """
    random = np.random.RandomState(1)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    image: NDArray[np.float32] = np.full((3, side, side), 0.5, np.float32)
    for _ in range(40 * side // 16):
        radius = 1.5 / (random.rand() + 1.5 / (side / 2))
        cx, cy = random.rand(2) * side
        colour = (0.7 * random.rand() + 0.3 * random.rand(3)).astype(np.float32)[:, None]
        inside = np.hypot(x - cx, y - cy) < radius
        texture = random.randint(3)
        waves = np.sin((x * random.rand() + y * random.rand()) * 2)[inside]
        grain = random.standard_normal(int(inside.sum())).astype(np.float32)
        added = (np.zeros_like(grain), 0.15 * waves, 0.06 * grain)[texture]
        image[:, inside] = colour + added
    return torch.from_numpy(image.clip(0, 1))[None]
