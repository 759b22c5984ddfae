"""From a network's result before its shuffle to finished pixels, strip by strip in the cache.

An image of floats is never made: a strip of rows is scaled, clipped, rounded and only then
shuffled, as integers. CPU only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_cli.layers.fusion import add_to, convolve, fusion_works
from sr_cli.networks.bicubic import RADIUS, bicubic_kernels

_STRIP = 1 << 20
"""Values of a strip."""

_RUNS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""Types as wide as a run of pixels, to copy it at once."""

Values = Callable[[int, int], Tensor]
"""The (1, C*factor^2, rows, w) of some rows, white is the largest sample, plus a half."""


def store(values: Values, rows: int, width: int, target: NDArray[Any], factor: int) -> bool:
    """Store a tile as integers.

    Args:
        values: Computes rows of it.
        rows, width: Its size before the shuffle.
        target: (rows*factor, width*factor[, C]) of uint8 or uint16.
        factor: Of the shuffle.

    Returns:
        False if a value is not finite; what is stored then is undefined.
    """
    channels = target.shape[2] if target.ndim == 3 else 1
    top = float(np.iinfo(target.dtype).max)
    step = max(1, _STRIP // (width * channels * factor**2))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        strip = values(first, last)
        if not math.isfinite(float(strip.sum())):
            return False
        # Conversion to integers truncates; `values` has added a half. NumPy's is the faster one.
        floats = strip.clamp_(0, top)[0].permute(1, 2, 0).numpy()
        samples = np.ascontiguousarray(floats, target.dtype)
        planes = [
            _shuffled(samples[..., c * factor**2 : (c + 1) * factor**2], factor)
            for c in range(channels)
        ]
        part = target[first * factor : last * factor]
        part[...] = (cv2.merge(planes) if channels > 1 else planes[0]).reshape(part.shape)
    return True


def _shuffled(samples: NDArray[Any], factor: int) -> NDArray[Any]:
    """(h, w, factor^2) -> (h*factor, w*factor), in runs of `factor` pixels."""
    h, w, _ = samples.shape
    run = np.dtype(_RUNS.get(size := factor * samples.itemsize, f"V{size}"))
    plane = np.empty((h * factor, w * factor), samples.dtype)
    plane.view(run).reshape(h, factor, w)[...] = samples.view(run).swapaxes(1, 2)
    return plane


def values_of(sr: Tensor, black: float, white: float, top: float) -> Values:
    """The values of a network's result, if no colours are to be added.

    Args:
        sr: (1, C*factor^2, h, w), `black` to `white`.
        black, white: What the network calls so.
        top: The largest sample.
    """
    gain = top / (white - black)
    offset = torch.tensor(0.5 - black * gain)
    return lambda first, last: torch.add(offset, sr[:, :, first:last], alpha=gain)


class Colours:
    """The values of a network on luma: its luma, and the colours without theirs by bicubic.

    In BT.601, changing only luma changes R, G and B equally. One convolution takes R, G and B less
    their luma, enlarges them with bicubic and adds the result to the network's luma.

    Args:
        luma: (3,), the weights of R, G and B in the luma that the network gets.
        black, white: What the network calls so.
        factor: Of the network's shuffle, its scale.
        top: The largest sample.
    """

    def __init__(
        self, luma: Tensor, *, black: float, white: float, factor: int, top: float
    ) -> None:
        gain = 1 / (white - black)
        rest = torch.eye(3) - gain * luma[None].expand(3, 3)
        kernels = bicubic_kernels(factor, torch.device("cpu"))
        side = kernels.shape[-1]
        self.colours = nn.Conv2d(3, 3 * factor**2, side, bias=False).requires_grad_(False)
        self.spread = nn.Conv2d(factor**2, 3 * factor**2, 1).requires_grad_(False)
        assert self.spread.bias is not None
        with torch.no_grad():
            joint = torch.einsum("oi,pyx->opiyx", rest, kernels[:, 0]) * top
            self.colours.weight.copy_(joint.reshape(self.colours.weight.shape))
            self.spread.weight.copy_(torch.eye(factor**2).repeat(3, 1)[..., None, None])
            self.spread.weight.mul_(top * gain)
            self.spread.bias.fill_(0.5 - black * gain * top)
        self.colours.to(memory_format=torch.channels_last)

    def values(self, sr_luma: Tensor, lr: Tensor) -> Values:
        """The values of a tile.

        Args:
            sr_luma: (1, factor^2, h, w), the network's result before its shuffle.
            lr: (1, 3, h + 2 * RADIUS, w + 2 * RADIUS) in [0, 1].
        """

        def compute(first: int, last: int) -> Tensor:
            luma = sr_luma[:, :, first:last]
            seen = lr[:, :, first : last + 2 * RADIUS]
            if fusion_works():
                return add_to(convolve(luma, self.spread), seen, self.colours)
            spread: Tensor = self.spread(luma)
            return spread.add_(F.conv2d(seen, self.colours.weight))

        return compute
