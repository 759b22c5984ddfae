"""Bicubic upscaling like MATLAB's imresize, without weights: the baseline of every table."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sr_cli.imaging.resize import keys_cubic
from sr_cli.layers.edges import mirror_beyond
from sr_cli.layers.fusion import in_channels_last
from sr_cli.layers.shuffle import shuffle
from sr_cli.networks.base import SRModel

RADIUS = 2
"""Bicubic interpolation reads two lr pixels to each side of an output pixel."""


@lru_cache
def _phase_weights(scale: int) -> tuple[tuple[float, ...], ...]:
    """For each of the `scale` phases of an output pixel, its five weights on lr pixels -2..2."""
    phases = []
    for phase in range(scale):
        centre = (phase + 0.5) / scale - 0.5
        weights = keys_cubic(np.arange(-RADIUS, RADIUS + 1, dtype=np.float64) - centre).tolist()
        phases.append(tuple(w / math.fsum(weights) for w in weights))
    return tuple(phases)


@lru_cache
@torch.inference_mode(False)
def bicubic_kernels(scale: int, device: torch.device) -> Tensor:
    """(scale^2, 1, 5, 5): the weights of every phase, in PixelShuffle's order."""
    one = torch.tensor(_phase_weights(scale), dtype=torch.float64)
    both = torch.einsum("ay,bx->abyx", one, one).reshape(scale * scale, 1, 5, 5)
    return both.float().to(device).contiguous(memory_format=torch.channels_last)


def upscale_bicubic(lr: Tensor, scale: int) -> Tensor:
    """Upscale like MATLAB's imresize(lr, scale, 'bicubic'), without rounding or clipping.

    Args:
        lr: (N, C, h, w), of any range.
        scale: An integer from 2.

    Returns:
        (N, C, h*scale, w*scale) in float32.
    """
    n, c, h, w = lr.shape
    x = mirror_beyond(lr.float(), before=RADIUS, below=RADIUS, right=RADIUS)
    tall, wide = h + 2 * RADIUS, w + 2 * RADIUS
    x = in_channels_last(x.reshape(n * c, 1, tall, wide).contiguous())
    sr = shuffle(F.conv2d(x, bicubic_kernels(scale, lr.device)), scale)
    return sr.view(n, c, h * scale, w * scale)


class Bicubic(SRModel):
    """MATLAB's bicubic interpolation. lr (N, 3, h, w) -> sr (N, 3, h*scale, w*scale)."""

    name = "bicubic"
    paper = "Keys, Cubic convolution interpolation for digital image processing, 1981"
    channels = 3
    one_set_of_weights = True

    def __init__(self, *, scale: int) -> None:
        super().__init__(scale, {})

    @property
    def receptive_radius(self) -> int:
        return RADIUS

    def forward(self, lr: Tensor) -> Tensor:
        return upscale_bicubic(lr, self.scale)


MODEL = Bicubic
