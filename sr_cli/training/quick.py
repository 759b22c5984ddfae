"""Training steps with less work on a CPU. The network, its weights and its pictures stay."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.networks.base import SRModel

_RADIUS = 2
_WHOLE_SHARE = 4
"""One crop in so many goes through the tail as it is: for what happens at the edges."""


def quicken(model: SRModel, *, first: int = 0) -> None:
    """Replace how some layers compute: PReLUs with one weight, tails without activations.

    first: the place of this process's first crop in the whole batch.
    """
    # Replacing `forward` on an instance keeps modules, and so the names of weights, as they are;
    # mypy takes every such replacement for a mistake.
    for layer in model.modules():
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            layer.forward = partial(_prelu, layer)  # type: ignore[method-assign]
    tail = getattr(model, "tail", None)
    linear = (nn.Conv2d, nn.PixelShuffle)
    if isinstance(tail, nn.Sequential) and all(isinstance(part, linear) for part in tail):
        run_as_it_is = tail.forward
        tail.forward = partial(_tail, tail, run_as_it_is, model.scale, first)  # type: ignore[method-assign]


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


def _tail(
    tail: nn.Sequential, run_as_it_is: Any, scale: int, first: int, features: Tensor
) -> Tensor:
    """Convolutions and shuffles as one 5x5 convolution, which the gradient goes through.

    Within one lr pixel of the border the two differ: there most crops give no gradient, and
    every fourth goes through the layers themselves.
    """
    places = range(len(features))
    whole = [i for i in places if (first + i) % _WHOLE_SHARE == 0]
    rest = [i for i in places if i not in whole]
    if not rest:
        as_it_is: Tensor = run_as_it_is(features)
        return as_it_is
    kernel, bias = composed(tail, scale)
    quick = F.pixel_shuffle(F.conv2d(features[rest], kernel, bias, padding=_RADIUS), scale)
    inside = torch.zeros(quick.shape[-2:], dtype=torch.bool, device=quick.device)
    inside[scale:-scale, scale:-scale] = True
    quick = torch.where(inside, quick, quick.detach())
    if not whole:
        return quick
    order = torch.tensor(whole + rest, device=quick.device).argsort()
    return torch.cat([run_as_it_is(features[whole]), quick])[order]


def composed(tail: nn.Sequential, scale: int) -> tuple[Tensor, Tensor]:
    """The kernel (outputs*scale^2, channels, 5, 5) and bias that a linear tail amounts to.

    Its first kernel is the answer to an impulse; the other layers are applied to that.
    """
    first, *others = tail
    assert isinstance(first, nn.Conv2d)
    size = 2 * _RADIUS + 1
    answer = F.pad(first.weight.transpose(0, 1).flip(2, 3), [_RADIUS - 1] * 4)
    silent = torch.zeros(1, first.in_channels, size, size, device=first.weight.device)
    silent = first(silent)
    for layer in others:
        if isinstance(layer, nn.Conv2d):
            answer = F.conv2d(answer, layer.weight, padding=layer.padding)
        else:
            answer = layer(answer)
        silent = layer(silent)
    kernel = F.pixel_unshuffle(answer, scale).flip(2, 3).transpose(0, 1)
    bias = F.pixel_unshuffle(silent, scale)[0, :, _RADIUS, _RADIUS]
    return kernel, bias
