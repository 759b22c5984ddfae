"""A faster pixel shuffle for one channel, which copies runs of pixels at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_RUNS = {2: torch.complex64, 4: torch.complex128}
"""Types as wide as `scale` float32 pixels, to copy a run of pixels at once."""


def shuffle(features: Tensor, scale: int) -> Tensor:
    """Shuffle pixels like PixelShuffle(scale), faster for one float32 channel on a CPU.

    (N, C*scale^2, h, w) -> (N, C, h*scale, w*scale).
    """
    n, channels, h, w = features.shape
    run = _RUNS.get(scale)
    is_fast_case = (
        run is not None
        and not torch.compiler.is_compiling()
        and channels == scale * scale
        and features.dtype is torch.float32
        and features.device.type == "cpu"
        and features.is_contiguous(memory_format=torch.channels_last)
        and not (torch.is_grad_enabled() and features.requires_grad)
    )
    if not is_fast_case:
        return F.pixel_shuffle(features, scale)
    assert run is not None
    # In channels_last order, the scale x scale pixels of an lr pixel are stored row by row.
    rows = features.permute(0, 2, 3, 1).reshape(n, h, w * scale * scale).view(run)
    shuffled = torch.empty(n, h, scale, w, dtype=run).copy_(
        rows.view(n, h, w, scale).transpose(2, 3)
    )
    return shuffled.view(torch.float32).view(n, 1, h * scale, w * scale)
