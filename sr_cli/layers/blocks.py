"""Convolutions with few outputs, for several pixels at once, so that vector units are filled.

A vector of a CPU holds sixteen numbers: a convolution with one or four outputs wastes most of it.
For a block of pixels it is a convolution with a larger kernel and a stride, and sixteen outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.fusion import sum_of

LANES = 16


def block_side(outputs: int) -> int:
    """The side of the blocks in which a convolution with so many outputs is computed."""
    side = 1
    while outputs * (2 * side) ** 2 <= LANES:
        side *= 2
    return side


class BlockConvolution(nn.Module):
    """A sum of convolutions: (N, inputs, h, w) each -> (N, outputs, h, w), in blocks on a CPU.

    Args:
        layers: With the same odd kernel k, stride 1, and padding with zeros: k // 2, or none for
            rows.
    """

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        first = layers[0]
        self.layers = nn.ModuleList(layers)
        self.side = block_side(first.out_channels)
        self.blocks = nn.ModuleList(over_blocks(layer, self.side) for layer in layers)
        assert isinstance(first.padding, tuple)
        self.grown = [2 * p - k + 1 for p, k in zip(first.padding, first.kernel_size, strict=True)]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        x = inputs[0]
        if x.device.type != "cpu" or self.side == 1 or torch.compiler.is_compiling():
            return sum_of(self.layers, inputs)
        h, w = x.shape[2] + self.grown[0], x.shape[3] + self.grown[1]
        blocks = sum_of(self.blocks, [whole_blocks(x, self.side) for x in inputs])
        return from_blocks(blocks, self.side)[:, :, :h, :w]


def over_blocks(layer: nn.Conv2d, side: int) -> nn.Conv2d:
    """(N, inputs, h, w) -> (N, side^2 * outputs, h/side, w/side), pixel after pixel.

    Args:
        layer: As for `BlockConvolution`.
        side: Of the blocks; h and w are multiples of it.
    """
    outputs, inputs, k, _ = layer.weight.shape
    assert isinstance(layer.padding, tuple)
    rows, columns = layer.padding
    whole = k + side - 1
    kernel = layer.weight.new_zeros(side, side, outputs, inputs, whole, whole)
    for y in range(side):
        for x in range(side):
            kernel[y, x, :, :, y : y + k, x : x + k] = layer.weight.detach()
    blocks = nn.Conv2d(
        inputs,
        side * side * outputs,
        whole,
        stride=side,
        padding=(rows, columns),
        bias=layer.bias is not None,
        dtype=layer.weight.dtype,
    )
    with torch.no_grad():
        blocks.weight.copy_(kernel.flatten(0, 2))
        if blocks.bias is not None and layer.bias is not None:
            blocks.bias.copy_(layer.bias.tile(side * side))
    return blocks.requires_grad_(False)


def whole_blocks(x: Tensor, side: int) -> Tensor:
    """Continue (N, C, h, w) with zeros, as a convolution does, to multiples of `side`."""
    h, w = x.shape[2:]
    return F.pad(x, (0, -w % side, 0, -h % side)) if h % side or w % side else x


def from_blocks(x: Tensor, side: int) -> Tensor:
    """(N, side^2 * C, h, w) -> (N, C, h * side, w * side), channels_last."""
    n, channels, h, w = x.shape
    c = channels // side**2
    pixels = x.permute(0, 2, 3, 1).flatten()
    run = side * c
    if pixels.dtype is torch.float32 and run % 4 == 0:
        # Four floats at a time.
        wide = pixels.view(torch.complex128).view(n, h, w, side, run // 4)
        rows = torch.empty(n, h, side, w, run // 4, dtype=wide.dtype)
        for index in range(run // 4):
            rows[..., index] = wide[..., index].transpose(2, 3)
        image = rows.view(torch.float32)
    else:
        image = pixels.view(n, h, w, side, run).transpose(2, 3).contiguous()
    return image.view(n, h * side, w * side, c).permute(0, 3, 1, 2)
