"""SRCNN: Dong et al., Image Super-Resolution Using Deep Convolutional Networks, TPAMI 2016."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sr_cli.layers.initial import start_as_copy, start_as_passthrough
from sr_cli.networks.base import SRModel, conv
from sr_cli.networks.bicubic import RADIUS, upscale_bicubic


class SRCNN(SRModel):
    """Three convolutions on luma upscaled with bicubic (section 3.1).

    lr (N, 1, h, w) in [0, 1] -> sr (N, 1, h*scale, w*scale). `kernels` (9, 5, 5) is the paper's
    best, (9, 1, 5) its fast one; `features` (64, 32). Borders repeat the edge pixel, as in the
    authors' test code.
    """

    name = "srcnn"
    paper = "Dong et al., Image Super-Resolution Using Deep Convolutional Networks, TPAMI 2016"
    channels = 1

    def __init__(
        self, *, scale: int, kernels: Sequence[int] = (9, 5, 5), features: Sequence[int] = (64, 32)
    ) -> None:
        super().__init__(scale, {"kernels": list(kernels), "features": list(features)})
        (k1, k2, k3), (f1, f2) = kernels, features
        self.layers = nn.Sequential(
            conv(1, f1, k1, padding_mode="replicate"),
            nn.ReLU(),
            conv(f1, f2, k2, padding_mode="replicate"),
            nn.ReLU(),
            conv(f2, 1, k3, padding_mode="replicate"),
        )
        first, _, second, _, last = self.layers
        assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
        assert isinstance(last, nn.Conv2d)
        start_as_passthrough(first, 1)
        start_as_passthrough(second, 1)
        start_as_copy(last)

    @property
    def receptive_radius(self) -> int:
        at_hr: int = sum(k // 2 for k in self.config["kernels"])
        return -(-at_hr // self.scale) + RADIUS

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.layers(upscale_bicubic(lr, self.scale))
        return sr


MODEL = SRCNN
