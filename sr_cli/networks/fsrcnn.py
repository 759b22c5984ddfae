"""FSRCNN: Dong et al., Accelerating the Super-Resolution Convolutional Neural Network, 2016."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_cli.layers.blocks import BlockConvolution
from sr_cli.layers.initial import initial_weights, start_as_passthrough
from sr_cli.layers.rewrites import deconvolution_as_convolution
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet, conv


class FSRCNN(SRModel):
    """Feature extraction, shrinking, mapping, expanding, deconvolution (section 3.2).

    lr (N, 1, h, w) in [0, 1] -> sr (N, 1, h*scale, w*scale); `d` features, `s` after
    shrinking, `m` mapping layers. Borders repeat the edge pixel, as in the authors' test code.
    """

    name = "fsrcnn"
    paper = "Dong et al., Accelerating the Super-Resolution Convolutional Neural Network, ECCV 2016"
    channels = 1
    margin = 4

    def __init__(self, *, scale: int, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__(scale, {"d": d, "s": s, "m": m})
        layers: list[nn.Module] = [conv(1, d, 5, padding_mode="replicate"), nn.PReLU(d)]
        layers += [conv(d, s, 1), nn.PReLU(s)]
        for _ in range(m):
            layers += [conv(s, s, 3, padding_mode="replicate"), nn.PReLU(s)]
        layers += [conv(s, d, 1), nn.PReLU(d)]
        self.features = nn.Sequential(*layers)
        self.deconvolution = nn.ConvTranspose2d(
            d, 1, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                start_as_passthrough(layer, 1)
        self._start_as_interpolation()

    @initial_weights
    @torch.no_grad()
    def _start_as_interpolation(self) -> None:
        weight, bias = self.deconvolution.weight, self.deconvolution.bias
        nn.init.normal_(weight, std=0.003)
        assert bias is not None
        nn.init.zeros_(bias)
        # Linear interpolation as a transposed convolution: a tent around the centre of the lr
        # pixel, truncated to the kernel and normalised for each phase.
        s, middle = self.scale, 4
        shift = (s - 1) / 2
        tent = torch.tensor([max(0.0, 1 - abs(k - middle - shift) / s) for k in range(9)])
        for phase in range(s):
            tent[phase::s] /= tent[phase::s].sum()
        weight[0, 0] = torch.outer(tent, tent)

    @property
    def receptive_radius(self) -> int:
        deconvolution = -(-4 // self.scale)
        return 2 + int(self.config["m"]) + deconvolution

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.deconvolution(self.features(lr))
        return sr

    def for_inference(self) -> InferenceNet:
        return _FastFSRCNN(self).eval()


class _FastFSRCNN(SubpixelNet):
    """FSRCNN with its deconvolution as a convolution on lr and a shuffle."""

    def __init__(self, model: FSRCNN) -> None:
        super().__init__(model.scale)
        frozen = model.frozen_copy()
        self.features = frozen.features
        self.tail = BlockConvolution(deconvolution_as_convolution(frozen.deconvolution))

    def subpixels(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.tail(self.features(lr))
        return sr


MODEL = FSRCNN
