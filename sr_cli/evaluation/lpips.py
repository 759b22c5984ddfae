"""LPIPS: Zhang et al., The Unreasonable Effectiveness of Deep Features, CVPR 2018. Version 0.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from sr_cli.errors import SrError

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TAPS = (1, 4, 7, 9, 11)


class LPIPS(nn.Module):
    """The distance of two pictures in the features of AlexNet (equation 1); 0 when equal.

    `weights`: a .safetensors with torchvision's `features.*` and the linear layers
    `linK.weight`. Raises SrError when the file is another one.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        tensors = load_file(weights)
        try:
            self.load_state_dict({k: tensors[k].float() for k in self.state_dict()})
            self._linear = [tensors[f"lin{k}.weight"].float().flatten() for k in range(len(_TAPS))]
        except (KeyError, RuntimeError) as error:
            raise SrError(f"{weights}: not LPIPS's AlexNet ({error})") from error
        self.requires_grad_(False).eval()

    @torch.inference_mode()
    def distance(self, sr: NDArray[Any], hr: NDArray[Any]) -> float:
        """Two RGB pictures (h, w, 3) uint8, whole."""
        a, b = self._taps(sr), self._taps(hr)
        total = 0.0
        for weight, x, y in zip(self._linear, a, b, strict=True):
            total += float(((x - y) ** 2 * weight.view(1, -1, 1, 1)).sum(1).mean())
        return total

    def _taps(self, picture: NDArray[Any]) -> list[Tensor]:
        """The features after each activation, each pixel's vector of unit length."""
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        x = (x - torch.tensor(_SHIFT).view(1, 3, 1, 1)) / torch.tensor(_SCALE).view(1, 3, 1, 1)
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in _TAPS:
                found.append(x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10))
        return found
