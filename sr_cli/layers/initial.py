"""Initial weights: networks start as plain interpolation, so that training starts with an image."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec

import torch
from torch import nn

P = ParamSpec("P")

_SKIPPED = ContextVar("initial weights are skipped", default=False)


@contextmanager
def uninitialised() -> Iterator[None]:
    """Build networks without initial weights, for weights that are loaded right after.

    They take most of the time in which a network is built. On the meta device, some of their
    operations would also import torch._dynamo, which takes as long as torch (PyTorch 2.14).
    """
    token = _SKIPPED.set(True)
    try:
        yield
    finally:
        _SKIPPED.reset(token)


def initial_weights(fill: Callable[P, None]) -> Callable[P, None]:
    """A function that sets initial weights, and does nothing within `uninitialised`."""

    @functools.wraps(fill)
    def unless_skipped(*args: P.args, **kwargs: P.kwargs) -> None:
        if not _SKIPPED.get():
            fill(*args, **kwargs)

    return unless_skipped


@initial_weights
def shrink_residual_branch(layer: nn.Module, factor: float = 0.1) -> None:
    """Multiply the weights of a residual branch's last convolution by `factor`, in place.

    Branches that start near zero let deep networks train at a higher learning rate (Wang et al.,
    ESRGAN, section 3.1).
    """
    assert isinstance(layer, nn.Conv2d)
    with torch.no_grad():
        layer.weight.mul_(factor)
        if layer.bias is not None:
            layer.bias.mul_(factor)


@initial_weights
@torch.no_grad()
def start_as_identity(layer: nn.Conv2d, noise: float = 0.1) -> None:
    """Initialise a layer as the identity plus its random weights times `noise`.

    A chain of such layers with ReLU between them preserves positive features, and so trains like a
    residual network.

    Args:
        layer: With as many outputs as inputs; it is changed.
        noise: The share of its random weights that is kept.
    """
    assert layer.bias is not None and layer.in_channels == layer.out_channels
    own = torch.empty_like(layer.weight)
    layer.weight.mul_(noise).add_(nn.init.dirac_(own))
    layer.bias.zero_()


@initial_weights
@torch.no_grad()
def start_as_passthrough(
    layer: nn.Conv2d, channels: int, *, copies: int = 1, gain: float = 1.0
) -> None:
    """Initialise the first outputs of a layer to copy its first inputs, times `gain`.

    A chain of such layers starts as plain interpolation instead of noise, so that training need
    not learn to copy.

    Args:
        layer: It is changed.
        channels: The inputs to copy.
        copies: Outputs for each input, for a pixel shuffle after the layer.
        gain: The factor.
    """
    assert layer.bias is not None
    middle = layer.kernel_size[0] // 2
    outputs = slice(0, channels * copies)
    layer.weight[outputs] = 0
    layer.bias[outputs] = 0
    for channel in range(channels):
        own = slice(channel * copies, (channel + 1) * copies)
        layer.weight[own, channel, middle, middle] = gain


@initial_weights
@torch.no_grad()
def start_as_copy(layer: nn.Conv2d) -> None:
    """Initialise the last layer of a chain to copy its first inputs, with other weights small."""
    middle = layer.kernel_size[0] // 2
    layer.weight.mul_(0.1)
    for channel in range(layer.out_channels):
        layer.weight[channel, channel] = 0
        layer.weight[channel, channel, middle, middle] = 1
    assert layer.bias is not None
    layer.bias.zero_()


@initial_weights
@torch.no_grad()
def start_as_smoothing(layer: nn.Conv2d) -> None:
    """Start the last layer of a chain as light smoothing of its inputs, other weights small."""
    assert layer.bias is not None
    middle = layer.kernel_size[0] // 2
    around = slice(middle - 1, middle + 2)
    row = torch.tensor([0.25, 0.5, 0.25])
    layer.weight.mul_(0.1)
    layer.bias.zero_()
    for channel in range(layer.out_channels):
        layer.weight[channel, channel] = 0
        layer.weight[channel, channel, around, around] = torch.outer(row, row)


@initial_weights
def start_as_upscaling(head: nn.Module, tail: nn.Sequential) -> None:
    """Initialise an RGB network with a residual body to upscale by plain interpolation.

    Activations in head and tail must preserve positive values (PReLU).

    Args:
        head: A convolution, alone or first in a Sequential.
        tail: Convolutions, all but the last followed by a pixel shuffle.
    """
    first = head[0] if isinstance(head, nn.Sequential) else head
    assert isinstance(first, nn.Conv2d)
    start_as_passthrough(first, first.in_channels)
    *layers, last = tail
    for layer, following in zip(layers, [*layers[1:], last], strict=True):
        if isinstance(layer, nn.Conv2d):
            assert isinstance(following, nn.PixelShuffle)
            start_as_passthrough(layer, first.in_channels, copies=following.upscale_factor**2)
    assert isinstance(last, nn.Conv2d)
    start_as_smoothing(last)


@initial_weights
@torch.no_grad()
def start_as_linear_interpolation(weight: torch.Tensor, scale: int, gain: float) -> None:
    """Fill `weight` (scale^2, k, k) with the kernels of linear interpolation, times `gain`."""
    middle = weight.shape[-1] // 2
    weight.zero_()
    for row in range(scale):
        for column in range(scale):
            y, x = (row + 0.5) / scale - 0.5, (column + 0.5) / scale - 0.5
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    share = max(0.0, 1 - abs(y - dy)) * max(0.0, 1 - abs(x - dx))
                    weight[row * scale + column, middle + dy, middle + dx] = gain * share
