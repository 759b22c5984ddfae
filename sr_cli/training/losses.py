"""Losses. Each is sr, hr (N, C, h, w) in [0, 1] -> a scalar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from sr_cli.errors import SrError

Loss = Callable[[Tensor, Tensor], Tensor]


def charbonnier(sr: Tensor, hr: Tensor) -> Tensor:
    """mean sqrt((sr - hr)^2 + 1e-6): Lai et al., LapSRN, equation 2."""
    return torch.sqrt((sr - hr) ** 2 + 1e-6).mean()


PIXEL_LOSSES: dict[str, Loss] = {"l1": F.l1_loss, "l2": F.mse_loss, "charbonnier": charbonnier}

_VGG = {
    "vgg16": [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512],
    "vgg19": [64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4],
}
"""Convolutions' output channels in order, 0 for a pool (Simonyan and Zisserman, table 1)."""

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FEATURE_SCALE = 1 / 12.75
"""SRGAN, section 3.2: VGG features rescaled, to losses of the size of a pixel MSE."""


class Perceptual(nn.Module):
    """Mean squared distance of VGG features (Ledig et al., SRGAN, equation 5).

    sr, hr (N, 3, h, w) in [0, 1]. `layer` is torchvision's `features` index of the last module
    used; `trunk` a .safetensors with the names `features.N.weight` and `.bias`.
    Raises SrError when the file is not that network's trunk.
    """

    def __init__(self, network: str, layer: int, trunk: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _VGG[network]:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers[: layer + 1])
        tensors = load_file(trunk)
        try:
            self.load_state_dict({k: tensors[k].float() for k in self.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise SrError(f"{trunk}: not the trunk of {network} ({error})") from error
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))
        self.mean: Tensor
        self.std: Tensor
        self.requires_grad_(False).eval()

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        def features(picture: Tensor) -> Tensor:
            found: Tensor = self.features((picture - self.mean) / self.std)
            return found.float() * FEATURE_SCALE

        with torch.no_grad():
            wanted = features(hr)
        return F.mse_loss(features(sr), wanted)
