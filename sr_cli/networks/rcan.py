"""RCAN: Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention, 2018."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_cli.layers.fusion import Residual
from sr_cli.layers.initial import shrink_residual_branch, start_as_upscaling
from sr_cli.networks.base import InferenceNet, SRModel, conv, shuffle_upsampler
from sr_cli.networks.edsr import DIV2K_MEAN, FastResidualNet


class ChannelAttention(nn.Module):
    """Scales each feature map by a gate computed from the means of all maps (section 3.3)."""

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            conv(features, max(1, features // reduction), 1),
            nn.ReLU(),
            conv(max(1, features // reduction), features, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(x.mean((2, 3), keepdim=True))
        return x * gate


class RCAB(nn.Module):
    """Residual channel attention block (section 3.4)."""

    def __init__(self, features: int, reduction: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv(features, features),
            nn.ReLU(),
            conv(features, features),
            ChannelAttention(features, reduction),
        )
        last = self.branch[2]
        assert isinstance(last, nn.Conv2d)
        shrink_residual_branch(last)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + branch


class ResidualGroup(nn.Module):
    """RCABs and a convolution, plus the input (section 3.2)."""

    def __init__(self, features: int, reduction: int, blocks: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(RCAB(features, reduction) for _ in range(blocks)), conv(features, features)
        )
        shrink_residual_branch(self.branch[-1])

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + branch


class RCAN(SRModel):
    """Residual in residual with channel attention: 10 groups of 20 blocks of 64 features.

    lr (N, 3, h, w) in [0, 1] -> sr (N, 3, h*scale, w*scale). The gates pool over the whole
    input, so results in tiles differ slightly from those of a single pass.
    """

    name = "rcan"
    paper = "Zhang et al., Image Super-Resolution Using Very Deep Residual Channel Attention, 2018"
    channels = 3
    margin = 4

    def __init__(
        self,
        *,
        scale: int,
        groups: int = 10,
        blocks: int = 20,
        features: int = 64,
        reduction: int = 16,
    ) -> None:
        super().__init__(
            scale,
            {"groups": groups, "blocks": blocks, "features": features, "reduction": reduction},
        )
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.mean: Tensor
        self.head = conv(3, features)
        self.body = nn.Sequential(
            *(ResidualGroup(features, reduction, blocks) for _ in range(groups)),
            conv(features, features),
        )
        self.tail = nn.Sequential(
            *shuffle_upsampler(features, scale, activation=False), conv(features, 3)
        )
        start_as_upscaling(self.head, self.tail)
        shrink_residual_branch(self.body[-1])

    @property
    def receptive_radius(self) -> None:
        return None

    def forward(self, lr: Tensor) -> Tensor:
        head = self.head(lr - self.mean)
        sr: Tensor = self.tail(head + self.body(head))
        return sr + self.mean

    def for_inference(self) -> InferenceNet:
        frozen = self.frozen_copy()
        *groups, last = frozen.body
        body = nn.Sequential(*(_fast_group(g) for g in groups), last)
        return FastResidualNet(frozen, body).eval()


class _FastRCAB(nn.Module):
    """A residual channel attention block in fewer passes over memory."""

    def __init__(self, block: RCAB) -> None:
        super().__init__()
        *convolutions, attention = block.branch
        assert isinstance(attention, ChannelAttention)
        self.branch = nn.Sequential(*convolutions)
        self.gate = attention.gate

    def forward(self, x: Tensor) -> Tensor:
        branch = self.branch(x)
        return torch.addcmul(x, branch, self.gate(branch.mean((2, 3), keepdim=True)))


def _fast_group(group: nn.Module) -> Residual:
    assert isinstance(group, ResidualGroup)
    *blocks, last = group.branch
    return Residual(*(_FastRCAB(b) for b in blocks if isinstance(b, RCAB)), last)


MODEL = RCAN
