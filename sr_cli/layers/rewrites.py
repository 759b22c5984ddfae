"""Exact rewrites for inference: the same result with less work, up to the order of summation."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.shuffle import Shuffle


class LinearTail(nn.Module):
    """A tail without activations (convolutions and shuffles) as one 5x5 convolution and a shuffle.

    features (N, C, h, w) -> (N, 3, h*scale, w*scale). The kernel is the impulse response of the
    tail in float64. Within one lr pixel of the border, the tail pads its inner feature maps with
    zeros, so this ring is computed by the tail itself.
    """

    RADIUS = 2
    _STRIP = 2 * RADIUS
    """The rows of features that the original tail needs for the outermost row."""

    def __init__(self, tail: nn.Sequential, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.tail = tail
        first = tail[0]
        assert isinstance(first, nn.Conv2d)
        kernel, bias = _impulse_response(tail, first.in_channels, scale, self.RADIUS)
        self.merged = nn.Conv2d(
            first.in_channels, kernel.shape[0], 2 * self.RADIUS + 1, padding=self.RADIUS
        )
        _set_convolution(self.merged, kernel, bias)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        if min(height, width) < 2 * self._STRIP:
            whole: Tensor = self.tail(features)
            return whole
        sr = F.pixel_shuffle(self.merged(features), self.scale)
        s, strip = self.scale, self._STRIP
        sr[:, :, :s] = self.tail(features[:, :, :strip])[:, :, :s]
        sr[:, :, -s:] = self.tail(features[:, :, -strip:])[:, :, -s:]
        sr[:, :, :, :s] = self.tail(features[:, :, :, :strip])[:, :, :, :s]
        sr[:, :, :, -s:] = self.tail(features[:, :, :, -strip:])[:, :, :, -s:]
        return sr


_IMPULSES = 4


@torch.no_grad()
def _impulse_response(
    tail: nn.Module, channels: int, scale: int, radius: int
) -> tuple[Tensor, Tensor]:
    """Kernel (outputs*scale^2, channels, k, k) and bias (outputs*scale^2) of a linear tail.

    The input is large enough that padding affects neither the kernel nor the bias.
    """
    probe = copy.deepcopy(tail).double()
    k = 2 * radius + 1
    size = k + 2 * radius
    impulses = torch.zeros(channels, channels, size, size, dtype=torch.float64)
    impulses[range(channels), range(channels), size // 2, size // 2] = 1
    silent = probe(torch.zeros(1, channels, size, size, dtype=torch.float64))
    # A few at a time: all together would take nearly a gigabyte in float64.
    parts = [impulses[i : i + _IMPULSES] for i in range(0, channels, _IMPULSES)]
    response = torch.cat([F.pixel_unshuffle(probe(part) - silent, scale) for part in parts])
    window = slice(radius, radius + k)
    # The kernel is the mirrored response: an impulse left of a pixel shows its left tap.
    kernel = response[:, :, window, window].flip(2, 3).transpose(0, 1)
    bias = F.pixel_unshuffle(silent, scale)[0, :, size // 2, size // 2]
    return kernel.contiguous(), bias


def convolution_before_shuffle(layer: nn.Conv2d, factor: int) -> nn.Sequential:
    """Move a convolution from after PixelShuffle(factor) to before it.

    (N, C*factor^2, h, w) -> (N, outputs, h*factor, w*factor). It is exact at the borders, too:
    zero padding at hr is zero padding before the shuffle.

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
    return nn.Sequential(merged, nn.PixelShuffle(factor))


def deconvolution_as_convolution(layer: nn.ConvTranspose2d) -> nn.Sequential:
    """Rewrite a transposed convolution as a convolution and a shuffle; exact at the borders, too.

    (N, C, h, w) -> (N, outputs, h*s, w*s).

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
    return nn.Sequential(merged, Shuffle(s))


def _set_convolution(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        layer.weight.copy_(weight)
        assert layer.bias is not None
        layer.bias.copy_(bias)
    layer.requires_grad_(False)
