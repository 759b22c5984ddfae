"""FSRCNN: Dong et al., Accelerating the Super-Resolution Convolutional Neural Network, 2016."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_cli.layers.fusion import sum_of
from sr_cli.layers.half import round_weights
from sr_cli.layers.initial import initial_weights, start_as_passthrough
from sr_cli.layers.last import LastConvolution
from sr_cli.layers.rewrites import deconvolution_as_convolution, without_slopes
from sr_cli.layers.rolling import RowPReLU, split_rows, with_rows_before, without_row_padding
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet, conv


class FSRCNN(SRModel):
    """Feature extraction, shrinking, mapping, expanding, deconvolution (section 3.2).

    lr (N, 1, h, w) in [0, 1] -> sr (N, 1, h*scale, w*scale); `d` features, `s` after
    shrinking, `m` mapping layers. Borders repeat the edge pixel, as in the authors' test code.
    """

    name = "fsrcnn"
    paper = "Dong et al., Accelerating the Super-Resolution Convolutional Neural Network, ECCV 2016"
    channels = 1

    def __init__(self, *, scale: int, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__(scale, {"d": d, "s": s, "m": m})
        # The form for inference pads with zeros.
        self.margin = self.receptive_radius
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
    """FSRCNN in strips of rows, its deconvolution as a convolution on lr and a shuffle.

    Layers pad with zeros; the outer pixels, which differ, are cut off by the engine.
    """

    def __init__(self, model: FSRCNN) -> None:
        super().__init__(model.scale)
        frozen = model.frozen_copy()
        first, shrink, *mapping, expand = (
            layer for layer in frozen.features if isinstance(layer, nn.Conv2d)
        )
        activations = [layer for layer in frozen.features if isinstance(layer, nn.PReLU)]
        self.radius = model.receptive_radius
        self.entry = nn.Sequential(_Entry(first, activations[0], shrink), RowPReLU(activations[1]))
        self.mapping = nn.ModuleList(
            nn.Sequential(without_row_padding(layer), RowPReLU(activation))
            for layer, activation in zip(mapping, activations[2:-1], strict=True)
        )
        self.expand = nn.Sequential(expand, nn.ReLU())
        tail = deconvolution_as_convolution(frozen.deconvolution)
        rest, linear = without_slopes(expand, activations[-1], tail)
        self.tail_radius = tail.kernel_size[0] // 2
        self.tail = LastConvolution([without_row_padding(rest), without_row_padding(linear)], 1)

    def half_parts(self) -> list[nn.Module]:
        return [self.entry, self.mapping, self.expand, *self.tail.half_parts()]

    def set_precision(self, dtype: torch.dtype) -> InferenceNet:
        if dtype != torch.float32:
            for part in self.half_parts():
                round_weights(part, dtype)
        return super().set_precision(dtype)

    def subpixels(self, lr: Tensor) -> Tensor:
        strips = split_rows(lr.to(self.half_dtype), self.radius)
        strips = map(self.entry, with_rows_before(strips, 2))
        for layer in self.mapping:
            strips = map(layer, with_rows_before(strips, 1))
        made: list[Tensor] = []
        row = 0
        for strip in with_rows_before(strips, self.tail_radius):
            rows = strip.shape[2] - 2 * self.tail_radius
            seen = lr[:, :, row : row + rows]
            made.append(self.tail([self.expand(strip), strip], seen, saw_rounded=True))
            row += rows
        return torch.cat(made, 2)


class _Entry(nn.Module):
    """Feature extraction and shrinking: (N, 1, h, w) -> (N, s, h - 4, w)."""

    def __init__(self, first: nn.Conv2d, activation: nn.PReLU, shrink: nn.Conv2d) -> None:
        super().__init__()
        self.shrink, linear = without_slopes(first, activation, shrink)
        self.linear = without_row_padding(linear)
        self.features = nn.Sequential(without_row_padding(first), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return sum_of([self.linear, self.shrink], [x, self.features(x)])


MODEL = FSRCNN
