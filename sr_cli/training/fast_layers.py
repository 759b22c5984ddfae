"""Faster forms of some layers for training on a CPU; weights and outputs stay the same."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.rewrites import TAIL_RADIUS, compose_tail, convolution_before_shuffle
from sr_cli.networks.base import SRModel

_PART = 1 << 19
"""Values that are handled at once: what fits into a core's cache."""

_EXACT_EVERY = 4
"""Every fourth crop goes through the tail itself, so that it also learns the edges."""


def use_fast_layers(model: SRModel, *, first: int = 0) -> None:
    """Speed up PReLUs with one weight, tails without activations and after them, in place.

    Args:
        model: It is changed.
        first: The index of this process's first crop in the whole batch.
    """
    # Replacing `forward` on an instance keeps modules, and so the names of weights, as they are;
    # mypy takes every such replacement for a mistake.
    for layer in model.modules():
        if isinstance(layer, nn.PReLU) and _has_one_slope(layer):
            layer.forward = partial(_prelu, layer)  # type: ignore[method-assign]
    tail = getattr(model, "tail", None)
    linear = (nn.Conv2d, nn.PixelShuffle)
    if isinstance(tail, nn.Sequential) and all(isinstance(part, linear) for part in tail):
        original = tail.forward
        tail.forward = partial(_linear_tail, tail, original, model.scale, first)  # type: ignore[method-assign]
    upsampler = getattr(model, "upsampler", None)
    if isinstance(tail, nn.Conv2d) and isinstance(upsampler, nn.Sequential):
        *before, last, activation = upsampler
        if isinstance(last, nn.PixelShuffle) and _has_one_slope(activation):
            factor = last.upscale_factor
            upsampler.forward = nn.Sequential(*before, activation).forward  # type: ignore[method-assign]
            taps = _taps_before_shuffle(tail, factor)
            tail.forward = partial(_tail_before_shuffle, tail, taps, factor)  # type: ignore[method-assign]


def _has_one_slope(layer: nn.Module) -> bool:
    return isinstance(layer, nn.PReLU) and layer.num_parameters == 1


def _taps_before_shuffle(tail: nn.Conv2d, factor: int) -> Tensor:
    """Which weight of the tail is where in its kernel before the shuffle: 1 for the first, 0: none.

    (outputs*factor^2, inputs*factor^2, size, size).
    """
    numbered = copy.deepcopy(tail)
    with torch.no_grad():
        numbered.weight.copy_(torch.arange(1, tail.weight.numel() + 1).view_as(tail.weight))
    return convolution_before_shuffle(numbered, factor).weight.long()


def _tail_before_shuffle(tail: nn.Conv2d, taps: Tensor, factor: int, features: Tensor) -> Tensor:
    """The convolution after a shuffle as one before it, through which the gradient goes.

    A PReLU with one slope commutes with the shuffle, so that only the result is shuffled, and a
    convolution for three outputs becomes one for twelve. It is exact at the borders, too.
    """
    assert tail.bias is not None
    kernel = F.pad(tail.weight.flatten(), (1, 0))[taps]
    bias = tail.bias.repeat_interleave(factor**2)
    padding = kernel.shape[-1] // 2
    return F.pixel_shuffle(F.conv2d(features, kernel, bias, padding=padding), factor)


def _prelu(layer: nn.PReLU, x: Tensor) -> Tensor:
    made: Tensor = _PReLU.apply(x, layer.weight)
    return made


class _PReLU(torch.autograd.Function):
    """x where positive, else weight * x (He et al., Delving Deep into Rectifiers, equation 1).

    PyTorch's own gradient on the CPU goes value by value. Here it is made of whole operations on
    parts that stay in the cache between them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.leaky_relu(x, float(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        in_order = torch.channels_last if x.dim() == 4 else torch.contiguous_format
        x, gradient = (t.contiguous(memory_format=in_order) for t in (x, *gradients))
        found, slope = torch.empty_like(gradient), torch.zeros(1)
        parts = zip(*(torch.split(_flat(t), _PART) for t in (x, gradient, found)), strict=True)
        for x_part, part, found_part in parts:
            torch.ops.aten.leaky_relu_backward(
                part, x_part, float(weight), False, grad_input=found_part
            )
            # Summed in float32, but PyTorch would first copy half precision for `sum` to say so.
            slope += (part * x_part.clamp(max=0)).sum()
        return found, slope


def _flat(values: Tensor) -> Tensor:
    """A view of values (N, C, h, w) in channels_last, or contiguous ones, as they are stored."""
    return (values.permute(0, 2, 3, 1) if values.dim() == 4 else values).reshape(-1)


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
