"""The last convolution of networks that end in a pixel shuffle, in half precision too."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.blocks import (
    BlockConvolution,
    block_side,
    from_blocks,
    over_blocks,
    whole_blocks,
)
from sr_cli.layers.fusion import add_to, convolve, in_channels_last, runs_in_half


class LastConvolution(nn.Module):
    """The convolution before a shuffle: features (N, inputs, h, w) -> (N, C*factor^2, h, w).

    The result is float32.

    Half precision is more precise for small numbers: on a CPU, for features in half precision, the
    convolution computes the difference to the lr pixel, which is subtracted before rounding; the
    exact lr pixel is added afterwards.

    Args:
        layer: The convolution; its outputs are in the order of PixelShuffle.
        channels: C.
    """

    def __init__(self, layer: nn.Conv2d, channels: int) -> None:
        super().__init__()
        self.layer = BlockConvolution(layer)
        self.side = block_side(layer.out_channels) if channels == 1 else 1
        self.half_layer = over_blocks(layer, self.side)
        pixels = channels * self.side**2
        self.repeat = repeating(pixels, self.half_layer.out_channels // pixels)
        self.half_repeat = copy.deepcopy(self.repeat)

    def half_parts(self) -> list[nn.Module]:
        """What runs in half precision; see `InferenceNet`."""
        return [self.half_layer, self.half_repeat]

    def forward(self, features: Tensor, lr: Tensor, *, saw_rounded: bool = False) -> Tensor:
        """Compute the pixels before the shuffle.

        Args:
            features: (N, inputs, h, w).
            lr: (N, C, h, w), which the network got.
            saw_rounded: Whether it got lr in half precision: what rounding took is then given back.
        """
        if features.dtype == torch.float32 or not runs_in_half(features):
            plain: Tensor = self.layer(features.float())
            return plain
        return self.beyond(features, lr, saw_rounded=saw_rounded)

    def beyond(self, features: Tensor, lr: Tensor, *, saw_rounded: bool = False) -> Tensor:
        """`forward` by way of the difference to the lr pixel. CPU only."""
        h, w = lr.shape[2:]
        if self.side > 1:
            lr, features = (whole_blocks(x, self.side) for x in (lr, features))
            lr = F.pixel_unshuffle(lr, self.side)
        level = in_channels_last(lr.to(features.dtype))
        below = convolve(in_channels_last(-level), self.half_repeat)
        difference = add_to(below, features, self.half_layer)
        added = lr if saw_rounded else level.float()
        sr = add_to(difference.float(), in_channels_last(added), self.repeat)
        return sr if self.side == 1 else from_blocks(sr, self.side)[:, :, :h, :w]


def repeating(channels: int, times: int) -> nn.Conv2d:
    """(N, channels, h, w) -> (N, channels*times, h, w), exactly; on a CPU faster than copying."""
    layer = nn.Conv2d(channels, channels * times, 1, bias=False).requires_grad_(False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(channels).repeat_interleave(times, 0)[..., None, None])
    return layer
