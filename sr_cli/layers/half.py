"""Weights in half precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def round_weights(net: nn.Module, dtype: torch.dtype) -> None:
    """Round the weights of convolutions in place so that flat areas keep their values.

    What is rounded away of a weight is given to the next one of the same kernel, the largest
    first: the sum of a kernel, its response to a flat area, changes by less than the rounding of
    its smallest weight. Weights that are 0 stay so.

    Args:
        net: Its convolutions, in float32.
        dtype: That holds the rounded weights.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(_rounded(layer.weight.flatten(2), dtype).view_as(layer.weight))


def _rounded(kernels: Tensor, dtype: torch.dtype) -> Tensor:
    """(outputs, inputs, taps) rounded to `dtype`, float32."""
    order = kernels.abs().argsort(2, descending=True)
    taps = kernels.gather(2, order).unbind(2)
    lost = torch.zeros_like(taps[0])
    rounded = []
    for tap in taps:
        wanted = torch.where(tap == 0, tap, tap + lost)
        rounded.append(wanted.to(dtype).float())
        lost = tap + lost - rounded[-1]
    return torch.empty_like(kernels).scatter_(2, order, torch.stack(rounded, 2))
