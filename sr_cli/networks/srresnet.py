"""SRResNet: Ledig et al., Photo-Realistic Single Image Super-Resolution Using a GAN, CVPR 2017."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sr_cli.layers.fusion import add_to, fusion_works
from sr_cli.layers.initial import start_as_upscaling
from sr_cli.layers.rewrites import convolution_before_shuffle
from sr_cli.networks.base import InferenceNet, SRModel, conv, shuffle_upsampler
from sr_cli.networks.bicubic import upscale_bicubic


class ResidualBlock(nn.Module):
    """Convolution, batch normalisation, PReLU, convolution, batch normalisation, plus the input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv(features, features),
            nn.BatchNorm2d(features),
            nn.PReLU(),
            conv(features, features),
            nn.BatchNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + branch


class SRResNet(SRModel):
    """Sixteen residual blocks with batch normalisation and sub-pixel upsampling (figure 4).

    lr (N, 3, h, w) in [0, 1] -> sr (N, 3, h*scale, w*scale). `squash` ends in (tanh + 1) / 2, as
    some public generators do.
    """

    name = "srresnet"
    paper = "Ledig et al., Photo-Realistic Single Image Super-Resolution Using a GAN, CVPR 2017"
    channels = 3
    margin = 5

    def __init__(
        self, *, scale: int, blocks: int = 16, features: int = 64, squash: bool = False
    ) -> None:
        super().__init__(scale, {"blocks": blocks, "features": features, "squash": squash})
        self.head = nn.Sequential(conv(3, features, 9), nn.PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(features) for _ in range(blocks)),
            conv(features, features),
            nn.BatchNorm2d(features),
        )
        self.upsampler = shuffle_upsampler(features, scale, activation=True)
        self.tail = conv(features, 3, 9)
        ends = [b.branch[-1] for b in self.body if isinstance(b, ResidualBlock)] + [self.body[-1]]
        for normalisation in ends:
            assert isinstance(normalisation, nn.BatchNorm2d)
            nn.init.constant_(normalisation.weight, 0.1)
        start_as_upscaling(self.head, nn.Sequential(*self.upsampler, self.tail))

    @property
    def receptive_radius(self) -> int:
        head = 4
        body = 2 * int(self.config["blocks"]) + 1
        # In hr pixels: each 3x3 before a shuffle at its own resolution, the 9x9 at hr.
        at_hr = {2: 2 + 4, 3: 3 + 4, 4: 4 + 2 + 4}[self.scale]
        return head + body + -(-at_hr // self.scale)

    def forward(self, lr: Tensor) -> Tensor:
        head = self.head(lr)
        sr: Tensor = self.tail(self.upsampler(head + self.body(head)))
        return (sr.tanh() + 1) / 2 if self.config["squash"] else sr

    def for_inference(self) -> InferenceNet:
        return _FastSRResNet(self).eval()


class _FastSRResNet(InferenceNet):
    """SRResNet with folded batch normalisation and the last 9x9 moved before the shuffle.

    PReLU with one slope commutes with the shuffle, so the last convolution can read the features
    before it: 9x9 on 64 channels at hr becomes 5x5 on 256 channels at half the resolution.
    """

    def __init__(self, model: SRResNet) -> None:
        super().__init__()
        frozen = model.frozen_copy()
        self.head = nn.Sequential(frozen.head[0], _in_place(frozen.head[1]))
        layers = list(frozen.body)
        blocks = []
        for block in layers[:-2]:
            assert isinstance(block, ResidualBlock)
            c1, n1, act, c2, n2 = block.branch
            block.branch = nn.Sequential(_folded(c1, n1), _in_place(act), _folded(c2, n2))
            blocks.append(block)
        self.body = nn.Sequential(*blocks, _folded(layers[-2], layers[-1]))
        *upsampler, shuffle, activation = frozen.upsampler
        assert isinstance(shuffle, nn.PixelShuffle)
        self.upsampler = nn.Sequential(
            *(_in_place(m) if isinstance(m, nn.PReLU) else m for m in (*upsampler, activation))
        )
        self.tail = convolution_before_shuffle(frozen.tail, shuffle.upscale_factor)
        self.half_tail = copy.deepcopy(self.tail[0])
        self.scale, self.last_factor = model.scale, shuffle.upscale_factor
        self.squash = bool(model.config["squash"])

    def half_parts(self) -> list[nn.Module]:
        return [self.body, self.upsampler, self.half_tail]

    def forward(self, lr: Tensor) -> Tensor:
        head = self.head(lr)
        features = head + self.body(head.to(self.half_dtype))
        large = self.upsampler(features.to(self.half_dtype))
        if self.squash:
            squashed: Tensor = (self.tail(large.float()).tanh() + 1) / 2
            return squashed
        if self.half_dtype == torch.float32 or large.device.type != "cpu" or not fusion_works():
            sr: Tensor = self.tail(large.float())
            return sr
        # Half precision is more precise for small numbers: the last convolution computes the
        # difference to bicubic, subtracted before rounding, and bicubic is added afterwards.
        plain = F.pixel_unshuffle(upscale_bicubic(lr, self.scale), self.last_factor)
        plain = plain.to(self.half_dtype, memory_format=torch.channels_last)
        assert isinstance(self.half_tail, nn.Conv2d)
        beyond = add_to(-plain, large, self.half_tail).float()
        return F.pixel_shuffle(beyond.add_(plain.float()), self.last_factor)


def _in_place(activation: nn.Module) -> nn.LeakyReLU:
    """Replace a PReLU with one slope by an in-place LeakyReLU."""
    assert isinstance(activation, nn.PReLU) and activation.num_parameters == 1
    return nn.LeakyReLU(float(activation.weight), inplace=True)


def _folded(layer: nn.Module, normalisation: nn.Module) -> nn.Conv2d:
    """Fold a batch normalisation in evaluation mode into the convolution before it."""
    assert isinstance(layer, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
    return fuse_conv_bn_eval(layer, normalisation)


MODEL = SRResNet
