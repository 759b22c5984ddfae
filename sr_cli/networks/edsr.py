"""EDSR: Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, 2017."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sr_cli.layers.fusion import Residual, add_to, in_channels_last, runs_in_half
from sr_cli.layers.initial import shrink_residual_branch, start_as_upscaling
from sr_cli.layers.rewrites import LinearTail, joined
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet, conv, shuffle_upsampler

if TYPE_CHECKING:
    from sr_cli.networks.rcan import RCAN

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean RGB of the training images of DIV2K, subtracted in the authors' code."""


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, scaled and added to the input (figure 2c)."""

    def __init__(self, features: int, residual_scaling: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(conv(features, features), nn.ReLU(), conv(features, features))
        self.residual_scaling = residual_scaling

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + (branch if self.residual_scaling == 1 else branch * self.residual_scaling)


class EDSR(SRModel):
    """Residual blocks without batch normalisation (section 3.2).

    lr (N, 3, h, w) in [0, 1] -> sr (N, 3, h*scale, w*scale). Baseline: 64 features, 16 blocks;
    full: 256 features, 32 blocks, residual scaling 0.1.
    """

    name = "edsr"
    paper = "Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, 2017"
    channels = 3
    margin = 4

    def __init__(
        self, *, scale: int, blocks: int = 16, features: int = 64, residual_scaling: float = 1.0
    ) -> None:
        super().__init__(
            scale, {"blocks": blocks, "features": features, "residual_scaling": residual_scaling}
        )
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.head = conv(3, features)
        self.body = nn.Sequential(
            *(ResidualBlock(features, residual_scaling) for _ in range(blocks)),
            conv(features, features),
        )
        self.tail = nn.Sequential(
            *shuffle_upsampler(features, scale, activation=False), conv(features, 3)
        )
        for block in self.body:
            if isinstance(block, ResidualBlock):
                last = block.branch[2]
                assert isinstance(last, nn.Conv2d)
                shrink_residual_branch(last)
        start_as_upscaling(self.head, self.tail)
        shrink_residual_branch(self.body[-1])

    @property
    def receptive_radius(self) -> int:
        return 1 + (2 * int(self.config["blocks"]) + 1) + LinearTail.RADIUS

    def forward(self, lr: Tensor) -> Tensor:
        head = self.head(lr - self.mean)
        sr: Tensor = self.tail(head + self.body(head))
        return sr + self.mean

    def for_inference(self) -> InferenceNet:
        frozen = self.frozen_copy()
        *blocks, last = frozen.body
        body = nn.Sequential(*(folded(b) for b in blocks), last)
        return FastResidualNet(frozen, body).eval()


class FastResidualNet(SubpixelNet):
    """EDSR or RCAN with the tail as one convolution at lr resolution.

    Head and tail are linear, and so is the skip connection over the body, which carries nearly the
    whole image: in half precision on a CPU it is one convolution of lr in float32, to which the
    body adds small numbers.

    Args:
        model: A frozen copy.
        body: Its body for inference, without the skip connection.
    """

    def __init__(self, model: EDSR | RCAN, body: nn.Sequential) -> None:
        super().__init__(model.scale)
        self.register_buffer("mean", model.mean)
        self.mean: Tensor
        self.head = model.head
        self.body = body
        self.tail = LinearTail(model.tail, model.scale, model.mean)
        self.skip = joined(self.head, self.tail.merged)
        self.half_tail = copy.deepcopy(self.tail.merged)
        self.half_tail.bias = None

    def half_parts(self) -> list[nn.Module]:
        return [self.body, self.half_tail]

    def subpixels(self, lr: Tensor) -> Tensor:
        lr = lr - self.mean
        if self.half_dtype != torch.float32 and runs_in_half(lr):
            deep = self.half_tail(self.body(self.head(lr).to(self.half_dtype)))
            return add_to(deep.float(), in_channels_last(lr), self.skip)
        head = self.head(lr)
        deep = self.body(head.to(self.half_dtype, copy=True))
        sr: Tensor = self.tail.merged(head + deep)
        return sr


def folded(block: nn.Module) -> Residual:
    """A residual block with its scaling folded into the weights of the last convolution."""
    assert isinstance(block, ResidualBlock)
    *first, last = block.branch
    assert isinstance(last, nn.Conv2d)
    shrink_residual_branch(last, block.residual_scaling)
    return Residual(*first, last)


MODEL = EDSR
