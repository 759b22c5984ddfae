"""Real-ESRGAN's network with random weights, as the loader for other tools' files returns it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor, nn

from sr_cli.networks.base import SRModel
from sr_cli.registry.foreign import ForeignModel


class Dense(nn.Module):
    """Five convolutions, each on all before it; the result scaled by 0.2 and added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        widths = [features + i * growth for i in range(5)]
        outputs = [growth] * 4 + [features]
        self.convs = nn.ModuleList(
            nn.Conv2d(w, o, 3, padding=1) for w, o in zip(widths, outputs, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for layer in self.convs[:4]:
            seen.append(nn.functional.leaky_relu(layer(torch.cat(seen, 1)), 0.2, inplace=True))
        last: Tensor = self.convs[4](torch.cat(seen, 1))
        return last * 0.2 + x


class Rrdb(nn.Module):
    """Three dense blocks, scaled by 0.2 and added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(Dense(features, growth) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.dense(x)
        return branch * 0.2 + x


class RrdbNet(nn.Module):
    """x4plus in shape: 23 blocks of 64 features, growth 32, two nearest-neighbour doublings."""

    def __init__(self, blocks: int, features: int = 64, growth: int = 32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(
            *(Rrdb(features, growth) for _ in range(blocks)),
            nn.Conv2d(features, features, 3, padding=1),
        )
        self.ups = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(3))
        self.last = nn.Conv2d(features, 3, 3, padding=1)
        nn.init.constant_(cast(Tensor, self.last.bias), 0.5)

    def forward(self, lr: Tensor) -> Tensor:
        head = self.first(lr)
        x = head + self.body(head)
        for index, layer in enumerate(self.ups):
            x = nn.functional.interpolate(x, scale_factor=2, mode="nearest") if index < 2 else x
            x = nn.functional.leaky_relu(layer(x), 0.2, inplace=True)
        sr: Tensor = self.last(x)
        return sr


def rrdb(blocks: int) -> SRModel:
    """The network as the loader for other tools' files hands it to the engine."""
    return ForeignModel(
        SimpleNamespace(
            architecture=SimpleNamespace(name="RRDB"),
            scale=4,
            model=RrdbNet(blocks).eval().requires_grad_(False),
            input_channels=3,
            size_requirements=SimpleNamespace(minimum=0, multiple_of=1, square=False),
            supports_half=True,
            supports_bfloat16=True,
        )
    )
