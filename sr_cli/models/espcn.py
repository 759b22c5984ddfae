"""ESPCN: Shi et al., Real-Time Single Image and Video Super-Resolution, CVPR 2016."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sr_cli.models.base import SRModel, conv


class ESPCN(SRModel):
    """Two tanh layers on luma and a sub-pixel convolution (section 2, figure 1).

    lr (N, 1, h, w) in [0, 1] -> sr (N, 1, h*scale, w*scale); kernels 5-3-3, features 64-32.
    """

    name = "espcn"
    paper = "Shi et al., Real-Time Single Image and Video Super-Resolution, CVPR 2016"
    channels = 1

    def __init__(
        self, *, scale: int, kernels: Sequence[int] = (5, 3, 3), features: Sequence[int] = (64, 32)
    ) -> None:
        super().__init__(scale, {"kernels": list(kernels), "features": list(features)})
        (k1, k2, k3), (f1, f2) = kernels, features
        self.layers = nn.Sequential(
            conv(1, f1, k1),
            nn.Tanh(),
            conv(f1, f2, k2),
            nn.Tanh(),
            conv(f2, scale * scale, k3),
            nn.PixelShuffle(scale),
        )

    @property
    def receptive_radius(self) -> int:
        return sum(k // 2 for k in self.config["kernels"])

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.layers(lr)
        return sr


MODEL = ESPCN
