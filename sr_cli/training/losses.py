"""Losses: each takes sr and hr (N, C, h, w) in [0, 1] and gives a scalar."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.errors import RefusedError
from sr_cli.evaluation.vgg import BLOCKS, vgg_layers
from sr_cli.training.trunk import load_trunk

Loss = Callable[[Tensor, Tensor], Tensor]


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """mean sqrt((sr - hr)^2 + 1e-6): Lai et al., LapSRN, equation 2."""
    return torch.sqrt((sr - hr) ** 2 + 1e-6).mean()


PIXEL_LOSSES: dict[str, Loss] = {"l1": F.l1_loss, "l2": F.mse_loss, "charbonnier": charbonnier}

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FEATURE_SCALE = 1 / 12.75
"""SRGAN, section 3.2: VGG features rescaled, to losses of the size of a pixel MSE."""


class Features(nn.Module):
    """VGG up to one convolution: (N, 3, h, w) in [0, 1] -> its features, times 1/12.75.

    `layer`: convB_N, the N-th convolution of block B; `activated`: after its ReLU (SRGAN) or
    before (ESRGAN). `trunk`: a file, or None to fetch torchvision's.
    Raises RefusedError for a layer that the network has not, SrError as `load_trunk` does.
    """

    def __init__(
        self, network: str, layer: str, *, activated: bool = True, trunk: Path | None = None
    ) -> None:
        super().__init__()
        end = _place(network, layer)
        self.features = nn.Sequential(*vgg_layers(network)[: end + 1 + activated])
        wanted = {k: v.shape for k, v in self.state_dict().items()}
        self.load_state_dict(load_trunk(network, wanted, trunk))
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, picture: Tensor) -> Tensor:
        found: Tensor = self.features((picture - self.mean) / self.std)
        return found.float() * FEATURE_SCALE


def _place(network: str, layer: str) -> int:
    """The index in torchvision's `features` of a convolution named convB_N."""
    match = re.fullmatch(r"conv(\d)_(\d)", layer)
    block, number = (int(g) for g in match.groups()) if match else (0, 0)
    counts = BLOCKS[network]
    if not (1 <= block <= len(counts) and 1 <= number <= counts[block - 1]):
        known = [f"conv{b}_{n}" for b, count in enumerate(counts, 1) for n in range(1, count + 1)]
        raise RefusedError(f"{network} has no layer '{layer}'", f"it has {', '.join(known)}")
    return sum(2 * count + 1 for count in counts[: block - 1]) + 2 * (number - 1)


_SHIFTS, _WIDE_ENOUGH = 8, 64


def shifted(sr: Tensor, hr: Tensor) -> tuple[Tensor, Tensor]:
    """The same window of both (N, C, h, w), 7 pixels smaller, anywhere; crops under 64 whole.

    A network's pooling and the sub-pixel shuffle both have a grid. If one always lies the same on
    the other, sr learns a pattern that the network does not see (compare Kettunen et al., E-LPIPS:
    Robust Perceptual Image Similarity via Random Transformation Ensembles, 2019).
    """
    height, width = (side - _SHIFTS + 1 for side in hr.shape[-2:])
    if min(hr.shape[-2:]) < _WIDE_ENOUGH:
        return sr, hr
    y, x = torch.randint(_SHIFTS, (2,)).tolist()
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
