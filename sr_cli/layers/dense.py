"""Dense blocks of ESRGAN (Wang et al., 2018, section 3.1) without concatenations.

In a dense block, every convolution reads all feature maps before it. Stored as slices of one depth,
each as wide as the growth, they lie side by side without being copied, and a convolution over k of
them is a 3-D convolution with a kernel of depth k: the same sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sr_cli.layers.fusion import add_to, run_fused

RESIDUAL_SCALING = 0.2
"""By which the result of a dense block, and of three of them, is multiplied before it is added."""


class DenseBlocks(nn.Module):
    """Blocks of several dense blocks each, (N, features, h, w) -> (N, features, h, w). CPU only.

    Args:
        blocks: For each block its dense blocks, for each of these its convolutions: k - 1 that add
            `growth` feature maps each, with an activation after them, and a last one.
        slope: Of the leaky ReLU.
    """

    def __init__(self, blocks: Sequence[Sequence[Sequence[nn.Conv2d]]], slope: float) -> None:
        super().__init__()
        first = blocks[0][0][0]
        self.growth, self.features = first.out_channels, first.in_channels
        self.slices = self.features // self.growth
        self.most = self.slices + len(blocks[0][0]) - 1
        self.slope = slope
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                _DenseBlock(layers, self.growth, RESIDUAL_SCALING ** (2 if is_last else 1))
                for layers, is_last in zip(block, _marks_last(block), strict=True)
            )
            for block in blocks
        )

    @property
    def numbers_per_pixel(self) -> int:
        """What it keeps for each pixel."""
        return (2 * self.most + 2 * self.slices) * self.growth

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._one(image) for image in x]) if len(x) > 1 else self._one(x[0])

    def _one(self, x: Tensor) -> Tensor:
        _features, h, w = x.shape
        n, most = self.slices, self.most
        here, there = (x.new_empty(most, h, w, self.growth) for _ in range(2))
        # What every block adds to carries the image: it is never rounded.
        carried = x.view(n, self.growth, h, w).permute(0, 2, 3, 1).float().contiguous()
        here[:n] = carried
        for block in self.blocks:
            assert isinstance(block, nn.ModuleList)
            for dense, is_last in zip(block, _marks_last(block), strict=True):
                assert isinstance(dense, _DenseBlock)
                dense.grow(here, n, self.slope)
                if is_last:
                    torch.mul(here[:n], RESIDUAL_SCALING, out=there[:n])
                    dense.add_result(there[:n], here)
                    there[:n] = carried.add_(there[:n])
                else:
                    there[:n] = here[:n]
                    dense.add_result(there[:n], here)
                here, there = there, here
        return here[:n].permute(0, 3, 1, 2).reshape(1, -1, h, w)


def _marks_last(parts: Sequence[object] | nn.ModuleList) -> list[bool]:
    return [False] * (len(parts) - 1) + [True]


class _DenseBlock(nn.Module):
    """The convolutions of a dense block, on slices (k, h, w, growth)."""

    def __init__(self, layers: Sequence[nn.Conv2d], growth: int, scaling: float) -> None:
        super().__init__()
        *growing, last = layers
        self.growing = nn.ModuleList(_over_slices(layer, growth) for layer in growing)
        self.last = nn.ModuleList(
            _over_slices(last, growth, slice(start, start + growth), scaling)
            for start in range(0, last.out_channels, growth)
        )

    def grow(self, slices: Tensor, known: int, slope: float) -> None:
        """Compute the slices after the first `known` ones."""
        for index, layer in enumerate(self.growing, known):
            assert isinstance(layer, nn.Conv3d)
            grown = run_fused(_as_depth(slices[:index]), layer, "leaky_relu", [slope])
            slices[index] = grown[0, :, 0].permute(1, 2, 0)

    def add_result(self, total: Tensor, slices: Tensor) -> None:
        """Add what the last convolution makes of all slices."""
        for index, layer in enumerate(self.last):
            assert isinstance(layer, nn.Conv3d)
            add_to(_as_depth(total[index : index + 1]), _as_depth(slices), layer)


def _as_depth(slices: Tensor) -> Tensor:
    """(k, h, w, growth) -> (1, growth, k, h, w), the same memory, in channels_last_3d."""
    return slices.permute(3, 0, 1, 2)[None]


def _over_slices(
    layer: nn.Conv2d, growth: int, outputs: slice = slice(None), scaling: float = 1.0
) -> nn.Conv3d:
    """A convolution, or some of its outputs, over slices of `growth` inputs each, scaled."""
    weight, bias = layer.weight[outputs], layer.bias
    many, inputs, k, _ = weight.shape
    depth, around = inputs // growth, k // 2
    deep = nn.Conv3d(growth, many, (depth, k, k), padding=(0, around, around), dtype=weight.dtype)
    assert bias is not None and deep.bias is not None
    with torch.no_grad():
        deep.weight.copy_(weight.view(many, depth, growth, k, k).transpose(1, 2))
        deep.weight.mul_(scaling)
        deep.bias.copy_(bias[outputs] * scaling)
    return deep.requires_grad_(False).to(memory_format=torch.channels_last_3d)
