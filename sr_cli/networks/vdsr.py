"""VDSR: Kim et al., Accurate Image Super-Resolution Using Very Deep Networks, CVPR 2016."""

from __future__ import annotations

from torch import Tensor, nn

from sr_cli.layers.initial import initial_weights, start_as_identity
from sr_cli.networks.base import SRModel, conv
from sr_cli.networks.bicubic import RADIUS, upscale_bicubic


class VDSR(SRModel):
    """Twenty 3x3 layers that predict the difference to bicubic (section 3.1).

    lr (N, 1, h, w) in [0, 1] -> sr (N, 1, h*scale, w*scale). One set of weights serves all
    scales (section 3.2): `scale` may be changed on a trained network.
    """

    name = "vdsr"
    paper = "Kim et al., Accurate Image Super-Resolution Using Very Deep Networks, CVPR 2016"
    channels = 1
    one_set_of_weights = True

    def __init__(self, *, scale: int, layers: int = 20, features: int = 64) -> None:
        super().__init__(scale, {"layers": layers, "features": features})
        stack: list[nn.Module] = [conv(1, features), nn.ReLU()]
        for _ in range(layers - 2):
            stack += [conv(features, features), nn.ReLU()]
        stack.append(conv(features, 1))
        self.layers = nn.Sequential(*stack)
        self._start_as_bicubic()

    @initial_weights
    def _start_as_bicubic(self) -> None:
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
                if layer.in_channels == layer.out_channels:
                    start_as_identity(layer)
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)

    @property
    def receptive_radius(self) -> int:
        at_hr: int = self.config["layers"]
        return -(-at_hr // self.scale) + RADIUS

    def forward(self, lr: Tensor) -> Tensor:
        interpolated = upscale_bicubic(lr, self.scale)
        residual: Tensor = self.layers(interpolated)
        return interpolated + residual


MODEL = VDSR
