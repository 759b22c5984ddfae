"""DISTS: Ding et al., Image Quality Assessment: Unifying Structure and Texture Similarity, 2020."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from sr_cli.errors import SrError
from sr_cli.evaluation.vgg import imagenet_statistics, load_vgg, vgg_layers

SMALLEST = 16
"""The side of the smallest image that four pools leave something of."""

_TAPS = (3, 8, 15, 22, 29)
_CHANNELS = [3, 64, 128, 256, 512, 512]
_STABLE = 1e-6
_SHARES = Path(__file__).parent / "data" / "dists.safetensors"
"""The published weights of texture (alpha) and structure (beta); see NOTICE.md beside it."""


class _L2Pool(nn.Module):
    """The root of a weighted mean of squares, every second pixel (equation 2)."""

    def forward(self, x: Tensor) -> Tensor:
        row = x.new_tensor([0.25, 0.5, 0.25])
        window = row.outer(row).expand(x.shape[1], 1, 3, 3)
        mean = F.conv2d(x * x, window, stride=2, padding=1, groups=x.shape[1])
        return (mean + 1e-12).sqrt()


class DISTS(nn.Module):
    """The distance of two images in the statistics of VGG16's features; 0 when equal.

    Images are compared at their size, as of most of its users; the authors' program reduces large
    ones to a side of 256 pixels first.

    Args:
        trunk: A file with VGG16's weights; None downloads torchvision's once.

    Raises:
        SrError: As `load_vgg`.
    """

    def __init__(self, trunk: Path | None = None) -> None:
        super().__init__()
        layers = vgg_layers("vgg16")[:-1]
        pooled = [_L2Pool() if isinstance(layer, nn.MaxPool2d) else layer for layer in layers]
        self.features = nn.Sequential(*pooled)
        shapes = {name: tensor.shape for name, tensor in self.state_dict().items()}
        self.load_state_dict(load_vgg("vgg16", shapes, trunk))
        mean, spread = imagenet_statistics("vgg16")
        for name, values in (("mean", mean), ("spread", spread)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        shares = load_file(_SHARES)
        total = sum(t.sum() for t in shares.values())
        for name, tensor in shares.items():
            self.register_buffer(name, tensor.view(-1) / total, persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Images (N, 3, h, w) in [0, 1] -> their distances (N,), differentiable."""
        similarity = sr.new_zeros(len(sr))
        # Half precision has too few digits for variances as differences of large numbers.
        with torch.autocast(sr.device.type, enabled=False):
            taps = zip(self._taps(sr.float()), self._taps(hr.float()), strict=True)
            alphas, betas = (
                torch.split(self.get_buffer(name), _CHANNELS) for name in ("alpha", "beta")
            )
            for (x, y), alpha, beta in zip(taps, alphas, betas, strict=True):
                mx, my = x.mean((2, 3)), y.mean((2, 3))
                dx, dy = x - mx[..., None, None], y - my[..., None, None]
                texture = (2 * mx * my + _STABLE) / (mx * mx + my * my + _STABLE)
                covariance = 2 * (dx * dy).mean((2, 3)) + _STABLE
                structure = covariance / ((dx * dx + dy * dy).mean((2, 3)) + _STABLE)
                similarity = similarity + (alpha * texture + beta * structure).sum(1)
        return 1 - similarity

    @torch.inference_mode()
    def distance(self, sr: NDArray[Any], hr: NDArray[Any]) -> float:
        """The distance of two whole RGB images.

        Args:
            sr: (h, w, 3) uint8.
            hr: The same.

        Raises:
            SrError: `image-too-small`.
        """
        height, width = sr.shape[:2]
        if min(height, width) < SMALLEST:
            raise SrError("image-too-small", width=width, height=height, needed=SMALLEST)
        a, b = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (sr, hr))
        return max(0.0, float(self(a, b)))

    def _taps(self, images: Tensor) -> list[Tensor]:
        """The image itself, and the features at the end of each block."""
        found = [images]
        x = (images - self.get_buffer("mean")) / self.get_buffer("spread")
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in _TAPS:
                found.append(x)
        return found
