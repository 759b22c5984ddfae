"""EDSR: Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, 2017."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_cli.layers.initial import shrink_residual_branch, start_as_upscaling
from sr_cli.layers.rewrites import LinearTail
from sr_cli.networks.base import InferenceNet, SRModel, conv, shuffle_upsampler

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

    def fold_scaling(self) -> None:
        """Fold the residual scaling into the weights of the last convolution."""
        last = self.branch[2]
        assert isinstance(last, nn.Conv2d)
        shrink_residual_branch(last, self.residual_scaling)
        self.residual_scaling = 1.0


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
        return _FastEDSR(self).eval()


class _FastEDSR(InferenceNet):
    """EDSR with its tail as one convolution at lr resolution, and the residual scaling folded."""

    def __init__(self, model: EDSR) -> None:
        super().__init__()
        frozen = model.frozen_copy()
        self.register_buffer("mean", frozen.mean)
        self.mean: Tensor
        self.head = frozen.head
        self.body = frozen.body
        for block in self.body:
            if isinstance(block, ResidualBlock):
                block.fold_scaling()
        self.tail = LinearTail(frozen.tail, model.scale)

    def half_parts(self) -> list[nn.Module]:
        return [self.body]

    def forward(self, lr: Tensor) -> Tensor:
        head = self.head(lr - self.mean)
        sr: Tensor = self.tail(head + self.body(head.to(self.half_dtype)))
        return sr + self.mean


MODEL = EDSR
