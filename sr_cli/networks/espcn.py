"""ESPCN: Shi et al., Real-Time Single Image and Video Super-Resolution, CVPR 2016."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sr_cli.layers.fusion import runs_in_half
from sr_cli.layers.initial import start_as_linear_interpolation, start_as_passthrough
from sr_cli.layers.last import LastConvolution
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet, conv

_LINEAR = 0.25
"""The gain that brings luma into the nearly linear range of tanh."""


class ESPCN(SRModel):
    """Two tanh layers on luma and a sub-pixel convolution (section 2, figure 1).

    lr (N, 1, h, w) in [0, 1] -> sr (N, 1, h*scale, w*scale); kernels 5-3-3, features 64-32.
    """

    name = "espcn"
    paper = "Shi et al., Real-Time Single Image and Video Super-Resolution, CVPR 2016"
    channels = 1
    margin = 4

    def __init__(
        self, *, scale: int, kernels: Sequence[int] = (5, 3, 3), features: Sequence[int] = (64, 32)
    ) -> None:
        super().__init__(scale, {"kernels": list(kernels), "features": list(features)})
        (k1, k2, k3), (f1, f2) = kernels, features
        # With sigmoids (see below), padding reaches as far as the last two layers look.
        self.margin = max(self.margin, k2 // 2 + k3 // 2)
        self.layers = nn.Sequential(
            conv(1, f1, k1),
            nn.Tanh(),
            conv(f1, f2, k2),
            nn.Tanh(),
            conv(f2, scale * scale, k3),
            nn.PixelShuffle(scale),
        )
        first, _, second, _, last, _ = self.layers
        assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        start_as_passthrough(first, 1, gain=_LINEAR)
        start_as_passthrough(second, 1)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.weight.mul_(0.1)
        start_as_linear_interpolation(last.weight[:, 0], scale, 1 / _LINEAR)

    @property
    def receptive_radius(self) -> int:
        return sum(k // 2 for k in self.config["kernels"])

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.layers(lr)
        return sr

    def for_inference(self) -> InferenceNet:
        return _FastESPCN(self).eval()


class _FastESPCN(SubpixelNet):
    """ESPCN with the middle layer in half precision, the first and last in float32.

    With weights that are exact in bfloat16 (`rounded_weights` in the recipe), all three layers can
    run in half precision on a CPU.
    """

    def __init__(self, model: ESPCN) -> None:
        super().__init__(model.scale)
        frozen = model.frozen_copy()
        self.first, self.middle = frozen.layers[:2], frozen.layers[2:4]
        last = frozen.layers[4]
        assert isinstance(last, nn.Conv2d)
        self.last = LastConvolution([last], 1)
        self.exact = all(bool((p == p.bfloat16()).all()) for p in frozen.layers.parameters())
        self.half_first = copy.deepcopy(self.first)
        self.in_float32 = _WithSigmoids(frozen)

    def half_parts(self) -> list[nn.Module]:
        return [self.half_first, self.middle, *self.last.half_parts()]

    def subpixels(self, lr: Tensor) -> Tensor:
        if self.half_dtype == torch.float32:
            exact: Tensor = self.in_float32(lr)
            return exact
        if self.exact and runs_in_half(lr):
            features = self.middle(self.half_first(lr.to(self.half_dtype)))
        else:
            features = self.middle(self.first(lr).to(self.half_dtype)).float()
        sr: Tensor = self.last([features], lr, saw_rounded=True)
        return sr


class _WithSigmoids(nn.Module):
    """The layers before the shuffle, with tanh(z) as 2 sigmoid(2z) - 1, which is faster on CPUs.

    The doubling is folded into the previous convolution, the rest into the next. A padded zero of
    tanh would be 0.5 for the sigmoid, so the outer pixels differ; the engine cuts them off.
    """

    def __init__(self, frozen: ESPCN) -> None:
        super().__init__()
        first, middle, last = (copy.deepcopy(m) for m in frozen.layers if isinstance(m, nn.Conv2d))
        for layer in (middle, last):
            assert layer.bias is not None
            layer.bias -= layer.weight.double().sum((1, 2, 3)).float()
            layer.weight *= 2
        for layer in (first, middle):
            assert layer.bias is not None
            layer.bias *= 2
            layer.weight *= 2
        self.first = nn.Sequential(first, nn.Sigmoid())
        self.middle = nn.Sequential(middle, nn.Sigmoid())
        self.last = last

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.last(self.middle(self.first(lr)))
        return sr


MODEL = ESPCN
