"""LPIPS: Zhang et al., The Unreasonable Effectiveness of Deep Features, CVPR 2018. Version 0.1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation.vgg import vgg_layers
from sr_cli.registry.tensors import read_tensors
from sr_cli.store import store
from sr_cli.store.remote import Remote

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_LINEAR = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights"


@dataclass(frozen=True)
class _Network:
    """A trunk, the layers after which it is looked at, and where its weights come from.

    `smallest`: the side of the smallest image that its pools leave something of.
    `content`: sha256 over all tensors as fp16, by name: it proves a file however it is packed.
    """

    taps: tuple[int, ...]
    smallest: int
    trunk: Remote
    linear: Remote
    content: str


NETWORKS = {
    "alex": _Network(
        (1, 4, 7, 9, 11),
        31,
        Remote(
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
            "lpips/alex-trunk.pth",
            sha256_prefix="7be5be79",
            local_option="--lpips-weights",
        ),
        Remote(f"{_LINEAR}/v0.1/alex.pth", "lpips/alex-linear.pth", local_option="--lpips-weights"),
        "187109660b42a186ca545785eec24544e14a446c62c4bc7fe38726033fe60ca7",
    ),
    "vgg": _Network(
        (3, 8, 15, 22, 29),
        16,
        Remote(
            "https://download.pytorch.org/models/vgg16-397923af.pth",
            "lpips/vgg-trunk.pth",
            sha256_prefix="397923af",
            local_option="--lpips-weights",
        ),
        Remote(f"{_LINEAR}/v0.1/vgg.pth", "lpips/vgg-linear.pth", local_option="--lpips-weights"),
        "e652447781f5e726ce31dd572f225413ce23141dc7cde3c68b94179220538c7d",
    ),
}


def _alexnet() -> list[nn.Module]:
    return [
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
    ]


class LPIPS(nn.Module):
    """The distance of two images in a trunk's features (equation 1); 0 when equal.

    Args:
        network: `alex` or `vgg`.
        weights: A file with torchvision's `features.*` and the linear layers (`linK.weight`, or
            `linK.model.1.weight` as published); None fetches both once.

    Raises:
        RefusedError: `unknown-value` for another network.
        SrError: What fetching raises, `lpips-tensor-missing`, `lpips-weights-modified`.
    """

    def __init__(self, network: str = "alex", weights: Path | None = None) -> None:
        super().__init__()
        if network not in NETWORKS:
            raise RefusedError(
                "unknown-value", "LPIPS network", value=network, known=list(NETWORKS)
            )
        self._network = NETWORKS[network]
        layers = _alexnet() if network == "alex" else list(vgg_layers("vgg16")[:-1])
        self.features = nn.Sequential(*layers)
        tensors = _read(network, weights, list(self.state_dict()))
        self.load_state_dict({k: tensors[k].float() for k in self.state_dict()})
        for k in range(5):
            linear = tensors[f"lin{k}.weight"].float().view(1, -1, 1, 1)
            self.register_buffer(f"linear{k}", linear, persistent=False)
        for name, values in (("shift", _SHIFT), ("spread", _SCALE)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Images (N, 3, h, w) in [0, 1] -> their distances (N,), differentiable."""
        pairs = zip(self._taps(sr), self._taps(hr), strict=True)
        parts = [
            ((x - y) ** 2 * self.get_buffer(f"linear{k}")).sum(1).mean((1, 2))
            for k, (x, y) in enumerate(pairs)
        ]
        return torch.stack(parts).sum(0)

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
        if min(height, width) < self._network.smallest:
            raise SrError(
                "image-too-small", width=width, height=height, needed=self._network.smallest
            )
        a, b = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None].float() / 255 for p in (sr, hr))
        return float(self(a, b))

    def _taps(self, images: Tensor) -> list[Tensor]:
        """The features after each activation, each pixel's vector of unit length."""
        x = (images * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("spread")
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._network.taps:
                taken = x.float()
                # A gradient through the root of an exact zero is not finite.
                length = (taken.pow(2).sum(1, keepdim=True) + 1e-20).sqrt()
                found.append(taken / (length + 1e-10))
        return found


def _read(network: str, weights: Path | None, trunk_names: list[str]) -> Mapping[str, Tensor]:
    """Trunk and linear layers under our names, proven to be the published ones."""
    wanted = [*trunk_names, *(f"lin{k}.weight" for k in range(5))]
    known = NETWORKS[network]
    files = [weights] if weights is not None else [store.get(known.trunk), store.get(known.linear)]
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(read_tensors(file))
    source = ", ".join(map(str, files))
    named = {re.sub(r"^(lin\d)\.model\.1\.", r"\1.", name): t for name, t in tensors.items()}
    missing = [name for name in wanted if name not in named]
    if missing:
        raise SrError("lpips-tensor-missing", source, network=network, tensor=missing[0])
    chosen = {name: named[name] for name in wanted}
    if content_hash(chosen) != NETWORKS[network].content:
        raise SrError("lpips-weights-modified", source, network=network)
    return chosen


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names and values, rounded to fp16, in the order of the names."""
    found = sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].detach().to(torch.float16).contiguous().numpy().tobytes())
    return found.hexdigest()
