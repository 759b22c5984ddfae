"""Exact rewrites for inference: the same result with less work, up to the order of summation."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAIL_RADIUS = 2
"""How far, in lr pixels, an output of a linear tail looks."""


class LinearTail(nn.Module):
    """A tail without activations (convolutions and shuffles) as one 5x5 convolution and a shuffle.

    features (N, C, h, w) -> (N, 3, h*scale, w*scale). The kernel is composed in float64. Within
    one lr pixel of the border, the tail pads its inner feature maps with zeros: there it differs,
    so the margin of its networks is at least 1.

    Args:
        tail: As for `compose_tail`.
        scale: As for `compose_tail`.
        mean: (1, 3, 1, 1), added to the result; None for 0.
    """

    RADIUS = TAIL_RADIUS

    def __init__(self, tail: nn.Sequential, scale: int, mean: Tensor | None = None) -> None:
        super().__init__()
        self.scale = scale
        first = tail[0]
        assert isinstance(first, nn.Conv2d)
        with torch.no_grad():
            kernel, bias = compose_tail(copy.deepcopy(tail).double(), scale)
            if mean is not None:
                bias += mean.flatten().repeat_interleave(scale**2)
        self.merged = nn.Conv2d(
            first.in_channels, kernel.shape[0], 2 * self.RADIUS + 1, padding=self.RADIUS
        )
        _set_convolution(self.merged, kernel, bias)

    def forward(self, features: Tensor) -> Tensor:
        return F.pixel_shuffle(self.merged(features), self.scale)


def compose_tail(tail: nn.Sequential, scale: int) -> tuple[Tensor, Tensor]:
    """One convolution at lr resolution that equals a tail without activations.

    The first kernel is the response to an impulse; the other layers are applied to that, so that
    gradients reach every layer.

    Args:
        tail: Convolutions and shuffles, the first a 3x3 convolution.
        scale: What the shuffles multiply the sides by.

    Returns:
        Kernel (outputs*scale^2, channels, 5, 5) and bias (outputs*scale^2).
    """
    first, *others = tail
    assert isinstance(first, nn.Conv2d)
    size = 2 * TAIL_RADIUS + 1
    response = F.pad(first.weight.transpose(0, 1).flip(2, 3), [TAIL_RADIUS - 1] * 4)
    silent = first(first.weight.new_zeros(1, first.in_channels, size, size))
    for layer in others:
        if isinstance(layer, nn.Conv2d):
            response = F.conv2d(response, layer.weight, padding=layer.padding)
        else:
            response = layer(response)
        silent = layer(silent)
    # The kernel is the mirrored response: an impulse left of a pixel shows its left tap.
    kernel = F.pixel_unshuffle(response, scale).flip(2, 3).transpose(0, 1)
    bias = F.pixel_unshuffle(silent, scale)[0, :, TAIL_RADIUS, TAIL_RADIUS]
    return kernel, bias


def joined(first: nn.Conv2d, second: nn.Conv2d) -> nn.Conv2d:
    """One convolution that equals two with nothing between them, inside their padding.

    Args:
        first, second: With odd kernels and padding to the same size.
    """
    radius = first.kernel_size[0] // 2 + second.kernel_size[0] // 2
    both = nn.Conv2d(first.in_channels, second.out_channels, 2 * radius + 1, padding=radius)
    assert first.bias is not None and second.bias is not None
    with torch.no_grad():
        kernel = second.weight.double()
        bias = second.bias.double() + kernel.sum((2, 3)) @ first.bias.double()
        _set_convolution(both, F.conv_transpose2d(kernel, first.weight.double()), bias)
    return both


def without_slopes(
    before: nn.Conv2d, activation: nn.PReLU, after: nn.Conv2d
) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Rewrite PReLU between two convolutions as ReLU, which convolutions compute on the way.

    PReLU(z) = a z + (1 - a) ReLU(z), and what is linear is one convolution of what is before:
    after(PReLU(before(x))) = rest(ReLU(before(x))) + linear(x), inside the padding.

    Args:
        before, after: With odd kernels and padding to the same size.
        activation: With a slope for each channel.

    Returns:
        `rest` and `linear`.
    """
    slopes = activation.weight.view(1, -1, 1, 1)
    sloped, rest = copy.deepcopy(after), copy.deepcopy(after)
    with torch.no_grad():
        sloped.weight *= slopes
        rest.weight *= 1 - slopes
    rest.bias = None
    return rest, joined(before, sloped)


def convolution_before_shuffle(layer: nn.Conv2d, factor: int) -> nn.Conv2d:
    """Move a convolution from after PixelShuffle(factor) to before it.

    (N, C*factor^2, h, w) -> (N, outputs*factor^2, h, w). It is exact at the borders, too: zero
    padding at hr is zero padding before the shuffle.

    Args:
        layer: The convolution, with an odd kernel k and padding k // 2.
        factor: Of the shuffle.
    """
    outputs, inputs, k, _ = layer.weight.shape
    radius = k // 2
    wide = -(-radius // factor)
    size = 2 * wide + 1
    kernel = torch.zeros(outputs, factor, factor, inputs, factor, factor, size, size)
    for row in range(factor):
        for column in range(factor):
            for dy in range(-radius, radius + 1):
                for dx in range(-radius, radius + 1):
                    y, sub_y = divmod(row + dy, factor)
                    x, sub_x = divmod(column + dx, factor)
                    tap = layer.weight.detach()[:, :, dy + radius, dx + radius]
                    kernel[:, row, column, :, sub_y, sub_x, y + wide, x + wide] = tap
    merged = nn.Conv2d(inputs * factor**2, outputs * factor**2, size, padding=wide)
    assert layer.bias is not None
    _set_convolution(
        merged,
        kernel.reshape(outputs * factor**2, inputs * factor**2, size, size),
        layer.bias.detach().repeat_interleave(factor**2),
    )
    return merged


def deconvolution_as_convolution(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """Rewrite a transposed convolution as one before a shuffle; exact at the borders, too.

    (N, C, h, w) -> (N, outputs*s^2, h, w), in PixelShuffle's order.

    Args:
        layer: With stride s, an odd kernel k and padding k // 2.
    """
    inputs, outputs, k, _ = layer.weight.shape
    s, radius = layer.stride[0], k // 2
    wide = -(-radius // s)
    kernel = torch.zeros(outputs, s, s, inputs, 2 * wide + 1, 2 * wide + 1)
    for row in range(s):
        for column in range(s):
            for y in range(-wide, wide + 1):
                for x in range(-wide, wide + 1):
                    # lr pixel y lands on hr row y*s; it reaches `row` by kernel row row - y*s.
                    ky, kx = row - y * s + radius, column - x * s + radius
                    if 0 <= ky < k and 0 <= kx < k:
                        tap = layer.weight.detach()[:, :, ky, kx]
                        kernel[:, row, column, :, y + wide, x + wide] = tap.T
    merged = nn.Conv2d(inputs, outputs * s * s, 2 * wide + 1, padding=wide)
    assert layer.bias is not None
    _set_convolution(
        merged,
        kernel.reshape(outputs * s * s, inputs, 2 * wide + 1, 2 * wide + 1),
        layer.bias.detach().repeat_interleave(s * s),
    )
    return merged


def _set_convolution(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        assert layer.bias is not None
        layer.bias.copy_(bias)
    layer.requires_grad_(False)
