"""SRResNet: Ledig et al., Photo-Realistic Single Image Super-Resolution Using a GAN, CVPR 2017."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sr_cli.layers.fusion import Residual
from sr_cli.layers.initial import start_as_upscaling
from sr_cli.layers.last import LastConvolution
from sr_cli.layers.rewrites import convolution_before_shuffle
from sr_cli.layers.strips import in_strips
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet, conv, shuffle_upsampler

_CONTEXT = 3
"""How far, in lr pixels, what follows the body looks."""


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


class _FastSRResNet(SubpixelNet):
    """SRResNet with folded batch normalisation and the last 9x9 moved before the shuffle.

    PReLU with one slope commutes with the shuffle, so the last convolution can read the features
    before it: 9x9 on 64 channels at hr becomes 5x5 on 256 channels at half the resolution. What
    follows the body needs ten times its memory, and is computed in strips of rows.
    """

    def __init__(self, model: SRResNet) -> None:
        frozen = model.frozen_copy()
        *upsampler, last, activation = frozen.upsampler
        assert isinstance(last, nn.PixelShuffle)
        super().__init__(last.upscale_factor)
        self.before_last = model.scale // self.factor
        self.head = nn.Sequential(frozen.head[0], _in_place(frozen.head[1]))
        *blocks, convolution, normalisation = frozen.body
        self.body = Residual(*(_fast_block(b) for b in blocks), _folded(convolution, normalisation))
        self.upsampler = nn.Sequential(
            *(_in_place(m) if isinstance(m, nn.PReLU) else m for m in (*upsampler, activation))
        )
        self.tail = LastConvolution([convolution_before_shuffle(frozen.tail, self.factor)], 3)
        self.squash = bool(model.config["squash"])
        self.seen_in_strips = nn.ModuleList([self.upsampler, self.tail])

    def half_parts(self) -> list[nn.Module]:
        return [self.body, self.upsampler, *self.tail.half_parts()]

    def subpixels(self, lr: Tensor) -> Tensor:
        features = self.body(self.head(lr).to(self.half_dtype))
        return in_strips(
            lambda first, last: self._enlarge(features[:, :, first:last], lr[:, :, first:last]),
            lr,
            context=_CONTEXT,
            factor=self.before_last,
        )

    def _enlarge(self, features: Tensor, lr: Tensor) -> Tensor:
        large = self.upsampler(features)
        k = self.before_last
        lr = lr.repeat_interleave(k, 2).repeat_interleave(k, 3) if k > 1 else lr
        if not self.squash:
            sr: Tensor = self.tail([large], lr)
            return sr
        sr = self.tail([large.float()], lr)
        return sr.tanh_().add_(1).div_(2)


def _fast_block(block: nn.Module) -> Residual:
    assert isinstance(block, ResidualBlock)
    c1, n1, activation, c2, n2 = block.branch
    return Residual(_folded(c1, n1), _in_place(activation), _folded(c2, n2))


def _in_place(activation: nn.Module) -> nn.LeakyReLU:
    """Replace a PReLU with one slope by an in-place LeakyReLU."""
    assert isinstance(activation, nn.PReLU) and activation.num_parameters == 1
    return nn.LeakyReLU(float(activation.weight), inplace=True)


def _folded(layer: nn.Module, normalisation: nn.Module) -> nn.Conv2d:
    """Fold a batch normalisation in evaluation mode into the convolution before it."""
    assert isinstance(layer, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
    return fuse_conv_bn_eval(layer, normalisation)


MODEL = SRResNet
