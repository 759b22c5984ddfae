"""Losses on sr and hr (N, C, h, w) in [0, 1], on features, and on a discriminator's logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.errors import RefusedError
from sr_cli.evaluation.vgg import imagenet_statistics, layer_names, load_vgg, vgg_layers

PixelLoss = Callable[[Tensor, Tensor], Tensor]

FEATURE_SCALE = 1 / 12.75
"""The scale of VGG features that makes losses comparable to a pixel MSE (SRGAN, section 3.2)."""

_SHIFTS, _WIDE_ENOUGH = 8, 64

_LDL_WINDOW = 7
_SSIM_WINDOW = 11
_MS_SSIM_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """mean sqrt((sr - hr)^2 + 1e-6): Lai et al., LapSRN, equation 2."""
    return torch.sqrt((sr - hr) ** 2 + 1e-6).mean()


def ms_ssim(sr: Tensor, hr: Tensor) -> Tensor:
    """1 - MS-SSIM of each channel (Wang et al., Multi-Scale Structural Similarity, 2003, eq. 7).

    The windows of SSIM, 11x11 with sigma 1.5, must fit at every scale: small crops have fewer of
    the five scales, whose exponents then sum to 1 again.
    """
    scales = 1
    while scales < len(_MS_SSIM_EXPONENTS) and min(hr.shape[-2:]) >> scales >= _SSIM_WINDOW:
        scales += 1
    exponents = [e / sum(_MS_SSIM_EXPONENTS[:scales]) for e in _MS_SSIM_EXPONENTS[:scales]]
    total = sr.new_ones(())
    # Half precision has too few digits for variances as differences of large numbers.
    with torch.autocast(sr.device.type, enabled=False):
        for scale, exponent in enumerate(exponents):
            luminance, structure = _ssim_terms(sr, hr)
            found = structure if scale < scales - 1 else luminance * structure
            # Not below a small number, where a power has no finite gradient.
            total = total * found.mean((2, 3)).clamp(min=1e-6) ** exponent
            sr, hr = F.avg_pool2d(sr, 2), F.avg_pool2d(hr, 2)
    return 1 - total.mean()


def _ssim_terms(sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast times structure, at each place of the window."""
    place = torch.arange(_SSIM_WINDOW, dtype=sr.dtype, device=sr.device) - _SSIM_WINDOW // 2
    row = torch.exp(-(place**2) / (2 * 1.5**2))
    row = row / row.sum()
    count = sr.shape[1]
    stacked = torch.cat([sr, hr, sr * sr, hr * hr, sr * hr], 1)
    wide = row.view(1, 1, 1, -1).expand(5 * count, 1, 1, -1)
    tall = row.view(1, 1, -1, 1).expand(5 * count, 1, -1, 1)
    mean = F.conv2d(F.conv2d(stacked, wide, groups=5 * count), tall, groups=5 * count)
    a, b, aa, bb, ab = mean.chunk(5, 1)
    luminance = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
    structure = (2 * (ab - a * b) + 0.03**2) / (aa - a * a + bb - b * b + 0.03**2)
    return luminance, structure


PIXEL_LOSSES: dict[str, PixelLoss] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "charbonnier": charbonnier,
    "ms_ssim": ms_ssim,
}


def ldl(sr: Tensor, hr: Tensor, averaged: Tensor) -> Tensor:
    """The L1 error where it looks like an artefact rather than like detail.

    Liang, Zeng and Zhang, Details or Artifacts, CVPR 2022, section 3: an error that varies within
    its 7x7 neighbourhood weighs as much as it varies there, times the fifth root of its variance
    over the crop. It weighs nothing where the averaged network's error is larger.

    Args:
        sr: The network's output (N, C, h, w).
        hr: The original.
        averaged: The output of the network with averaged weights.
    """
    error = (hr - sr).abs().sum(1, keepdim=True)
    with torch.no_grad():
        is_worse = error >= (hr - averaged).abs().sum(1, keepdim=True)
        over_crop = error.var((1, 2, 3), keepdim=True) ** (1 / 5)
        weight = _local_variance(error) * over_crop * is_worse
    return (weight * (hr - sr)).abs().mean()


def _local_variance(values: Tensor) -> Tensor:
    """The variance of values (N, 1, h, w) within 7x7 of each place, mirrored at the edges."""
    padded = F.pad(values, [_LDL_WINDOW // 2] * 4, mode="reflect")
    mean, square = (F.avg_pool2d(x, _LDL_WINDOW, 1) for x in (padded, padded * padded))
    count = _LDL_WINDOW**2
    return (square - mean * mean).clamp(min=0) * count / (count - 1)


class VGGFeatures(nn.Module):
    """VGG up to one convolution: (N, 3, h, w) in [0, 1] -> its features, times 1/12.75.

    Args:
        network: `vgg16` or `vgg19`.
        layer: convB_N, the N-th convolution of block B.
        activated: Take features after the ReLU (SRGAN) or before it (ESRGAN).
        weights: A file with VGG's weights; None downloads torchvision's.

    Raises:
        RefusedError: `unknown-value` for a layer that the network does not have.
        SrError: As `load_vgg`.
    """

    def __init__(
        self, network: str, layer: str, *, activated: bool = True, weights: Path | None = None
    ) -> None:
        super().__init__()
        layers = vgg_layers(network)
        known = layer_names(layers)
        if layer not in known:
            raise RefusedError("unknown-value", "perceptual_layer", value=layer, known=list(known))
        self.features = layers[: known[layer] + 1 + activated]
        shapes = {name: tensor.shape for name, tensor in self.state_dict().items()}
        self.load_state_dict(load_vgg(network, shapes, weights))
        mean, std = imagenet_statistics(network)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.features((image - self.mean) / self.std)
        return found.float() * FEATURE_SCALE


def random_window(sr: Tensor, hr: Tensor, side: int = 0) -> tuple[Tensor, Tensor]:
    """Cut the same random window from both (N, C, h, w).

    VGG's pooling and the sub-pixel shuffle both have a grid. If they are always aligned, sr learns
    a pattern that VGG does not see (compare Kettunen et al., E-LPIPS:
    Robust Perceptual Image Similarity via Random Transformation Ensembles, 2019).

    Args:
        sr: The network's output.
        hr: The original.
        side: The window's; larger ones than the crop are the whole crop. With 0 it is 7 pixels
            smaller than the crop, and small crops are not cut.
    """
    smallest = min(hr.shape[-2:])
    if not side and smallest < _WIDE_ENOUGH:
        return sr, hr
    height, width = (min(side, n) if side else n - _SHIFTS + 1 for n in hr.shape[-2:])
    shifts = (hr.shape[-2] - height + 1, hr.shape[-1] - width + 1)
    y, x = (int(torch.randint(shift, (1,))) for shift in shifts)
    window = (..., slice(y, y + height), slice(x, x + width))
    return sr[window], hr[window]


def perceptual_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean squared distance of features (SRGAN, equation 5)."""
    return F.mse_loss(sr, hr)


def texture_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean squared distance of the features' Gram matrices (EnhanceNet, section 4.2.3).

    Features (N, C, h, w); each Gram matrix is divided by C*h*w.
    """
    return F.mse_loss(_gram(sr), _gram(hr))


def _gram(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def discriminator_loss(real: Tensor, fake: Tensor, *, relativistic: bool = False) -> Tensor:
    """-log D(hr) - log(1 - D(sr)) (SRGAN, equation 2), on logits.

    Relativistic: each logit minus the mean of the other kind (ESRGAN, section 3.2, L_D).
    """
    if relativistic:
        real, fake = real - fake.mean(), fake - real.mean()
    return _cross_entropy(real, 1.0) + _cross_entropy(fake, 0.0)


def generator_loss(real: Tensor, fake: Tensor, *, relativistic: bool = False) -> Tensor:
    """-log D(sr) (SRGAN, equation 6), on logits.

    Relativistic: ESRGAN, equation 1, which also uses hr.
    """
    if not relativistic:
        return _cross_entropy(fake, 1.0)
    return _cross_entropy(real - fake.mean(), 0.0) + _cross_entropy(fake - real.mean(), 1.0)


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
