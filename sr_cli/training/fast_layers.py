"""Faster forms of some layers for training on a CPU; weights and outputs stay the same."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.rewrites import TAIL_RADIUS, compose_tail
from sr_cli.networks.base import SRModel

_EXACT_EVERY = 4
"""Every fourth crop goes through the tail itself, so that it also learns the edges."""


def use_fast_layers(model: SRModel, *, first: int = 0) -> None:
    """Speed up PReLUs with one weight and tails without activations, in place.

    Args:
        model: It is changed.
        first: The index of this process's first crop in the whole batch.
    """
    # Replacing `forward` on an instance keeps modules, and so the names of weights, as they are;
    # mypy takes every such replacement for a mistake.
    for layer in model.modules():
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            layer.forward = partial(_prelu, layer)  # type: ignore[method-assign]
    tail = getattr(model, "tail", None)
    linear = (nn.Conv2d, nn.PixelShuffle)
    if isinstance(tail, nn.Sequential) and all(isinstance(part, linear) for part in tail):
        original = tail.forward
        tail.forward = partial(_linear_tail, tail, original, model.scale, first)  # type: ignore[method-assign]


def _prelu(layer: nn.PReLU, x: Tensor) -> Tensor:
    made: Tensor = _PReLU.apply(x, layer.weight)
    return made


class _PReLU(torch.autograd.Function):
    """x where positive, else weight * x (He et al., Delving Deep into Rectifiers, equation 1).

    PyTorch's own gradient on the CPU goes value by value.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.prelu(x, weight.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        below = torch.ops.aten.leaky_relu_backward(gradient, x, float(weight), False)
        slope = (gradient * x.clamp(max=0)).sum(dtype=torch.float32)
        return below, slope.view(1)


def _linear_tail(
    tail: nn.Sequential, original: Any, scale: int, first: int, features: Tensor
) -> Tensor:
    """Convolutions and shuffles as one 5x5 convolution, through which the gradient goes.

    Within one lr pixel of the border, the two differ: most crops give no gradient there, and
    every fourth crop goes through the layers themselves.
    """
    indices = range(len(features))
    exact_ones = [i for i in indices if (first + i) % _EXACT_EVERY == 0]
    rest = [i for i in indices if i not in exact_ones]
    if not rest:
        exact: Tensor = original(features)
        return exact
    kernel, bias = compose_tail(tail, scale)
    fast = F.pixel_shuffle(F.conv2d(features[rest], kernel, bias, padding=TAIL_RADIUS), scale)
    inside = torch.zeros(fast.shape[-2:], dtype=torch.bool, device=fast.device)
    inside[scale:-scale, scale:-scale] = True
    fast = torch.where(inside, fast, fast.detach())
    if not exact_ones:
        return fast
    order = torch.tensor(exact_ones + rest, device=fast.device).argsort()
    return torch.cat([original(features[exact_ones]), fast])[order]
