"""The last convolution of networks that end in a pixel shuffle, in half precision too."""

from __future__ import annotations

import copy
from collections.abc import Sequence

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

    It may be a sum of several, each of features of its own. The result is float32.

    Half precision is more precise for small numbers: on a CPU, for features in half precision, the
    convolution computes the difference to the lr pixel, which is subtracted before rounding; the
    exact lr pixel is added afterwards.

    Args:
        layers: The convolutions; their outputs are in the order of PixelShuffle.
        channels: C.
    """

    def __init__(self, layers: Sequence[nn.Conv2d], channels: int) -> None:
        super().__init__()
        self.layer = BlockConvolution(layers)
        outputs = layers[0].out_channels
        self.side = block_side(outputs) if channels == 1 else 1
        self.half_layers = nn.ModuleList(over_blocks(layer, self.side) for layer in layers)
        self.repeat = repeating(channels * self.side**2, outputs // channels)
        self.half_repeat = copy.deepcopy(self.repeat)

    def half_parts(self) -> list[nn.Module]:
        """What runs in half precision; see `InferenceNet`."""
        return [self.half_layers, self.half_repeat]

    def forward(
        self, features: Sequence[Tensor], lr: Tensor, *, saw_rounded: bool = False
    ) -> Tensor:
        """Compute the pixels before the shuffle.

        Args:
            features: (N, inputs, h, w) for each of `layers`, of one dtype.
            lr: (N, C, h, w), which the network got.
            saw_rounded: Whether it got lr in half precision: what rounding took is then given back.
        """
        if features[0].dtype == torch.float32 or not runs_in_half(features[0]):
            plain: Tensor = self.layer([x.float() for x in features])
            return plain
        return self.beyond(features, lr, saw_rounded=saw_rounded)

    def beyond(
        self, features: Sequence[Tensor], lr: Tensor, *, saw_rounded: bool = False
    ) -> Tensor:
        """`forward` by way of the difference to the lr pixel. CPU only."""
        h, w = lr.shape[2:]
        if self.side > 1:
            lr, *features = (whole_blocks(x, self.side) for x in (lr, *features))
            lr = F.pixel_unshuffle(lr, self.side)
        level = in_channels_last(lr.to(features[0].dtype))
        difference = convolve(in_channels_last(-level), self.half_repeat)
        for layer, x in zip(self.half_layers, features, strict=True):
            assert isinstance(layer, nn.Conv2d)
            difference = add_to(difference, x, layer)
        added = lr if saw_rounded else level.float()
        sr = add_to(difference.float(), in_channels_last(added), self.repeat)
        return sr if self.side == 1 else from_blocks(sr, self.side)[:, :, :h, :w]


def repeating(channels: int, times: int) -> nn.Conv2d:
    """(N, channels, h, w) -> (N, channels*times, h, w), exactly; on a CPU faster than copying."""
    layer = nn.Conv2d(channels, channels * times, 1, bias=False).requires_grad_(False)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(channels).repeat_interleave(times, 0)[..., None, None])
    return layer
