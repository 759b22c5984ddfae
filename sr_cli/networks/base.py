"""The base classes of all networks, and layers that several papers share."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sr_cli.layers.fusion import fuse
from sr_cli.layers.shuffle import shuffle

if TYPE_CHECKING:
    from typing_extensions import Self


class InferenceNet(nn.Module):
    """A network for inference: rewritten exactly, frozen, partly in half precision.

    `half_parts` run in the dtype given to `set_precision`. Everything else stays in float32:
    what carries most of the image, as the first layers and the global skip do, must not be rounded.
    `channels_last` says whether the network is faster in that memory format, `bytes_per_pixel` how
    much its busiest operation needs per lr pixel where that does not show in its layers,
    `seen_in_strips` which layers never see the whole tile.

    Shapes as for `SRModel`: lr (N, C, h, w) in [0, 1] -> sr (N, C, h*scale, w*scale), float32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.half_dtype = torch.float32
        self.channels_last = True
        self.bytes_per_pixel = 0
        self.seen_in_strips: nn.Module | None = None

    def half_parts(self) -> list[nn.Module]:
        """Submodules that may run in bf16 or fp16."""
        return []

    def set_precision(self, dtype: torch.dtype) -> InferenceNet:
        """Run the half parts in `dtype` (float32, bfloat16 or float16)."""
        self.half_dtype = dtype
        for part in self.half_parts():
            part.to(dtype)
        return self

    def fuse(self) -> None:
        """Fuse operations of this network, on the device where it is, in place."""
        fuse(self)


class SubpixelNet(InferenceNet):
    """A network that ends in PixelShuffle(`factor`), which the engine does on finished pixels."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def subpixels(self, lr: Tensor) -> Tensor:
        """lr (N, C, h, w) -> (N, C*factor^2, h*scale/factor, w*scale/factor), float32."""
        raise NotImplementedError

    def forward(self, lr: Tensor) -> Tensor:
        return shuffle(self.subpixels(lr), self.factor)


class _Unchanged(InferenceNet):
    """A network without rewrites."""

    def __init__(self, model: SRModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.model(lr)
        return sr


class SRModel(nn.Module):
    """lr (N, C, h, w) float in [0, 1] -> sr (N, C, h*scale, w*scale), about [0, 1], not clipped.

    `create_model(name, scale=scale, **config)` builds the same network again.

    Attributes:
        name: The name of the network, which is that of its module.
        paper: Authors, title and year.
        channels: 1 for networks on luma (BT.601, studio range; the engine upscales chroma with
            bicubic), 3 for RGB.
        scales: The supported scales.
        margin: Lr pixels by which images are continued beyond their edges and cut off again,
            because padding with zeros shows there.
        one_set_of_weights: Whether the same tensors serve every scale (VDSR), so that `scale` may
            be set at any time.
        scale: The current scale.
        config: The settings of the network.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    channels: ClassVar[Literal[1, 3]]
    scales: ClassVar[tuple[int, ...]] = (2, 3, 4)
    margin: int = 0
    one_set_of_weights: ClassVar[bool] = False

    def __init__(self, scale: int, config: dict[str, Any]) -> None:
        super().__init__()
        if scale not in self.scales:
            known = ", ".join(f"x{s}" for s in self.scales)
            raise ValueError(f"{self.name} does not support x{scale} (supported: {known})")
        self.scale = scale
        self.config = config

    @property
    def receptive_radius(self) -> int | None:
        """How far an output pixel depends on lr pixels; None if the network pools globally."""
        raise NotImplementedError(f"{self.name} declares no receptive radius")

    def forward(self, lr: Tensor) -> Tensor:
        raise NotImplementedError(f"{self.name} has no forward")

    def for_inference(self) -> InferenceNet:
        """A frozen copy that computes the same result faster; this network is not changed."""
        return _Unchanged(self.frozen_copy()).eval()

    def count_parameters(self) -> int:
        """Weights and biases."""
        return sum(p.numel() for p in self.parameters())

    def frozen_copy(self) -> Self:
        """A float32 copy for inference: evaluation mode, no gradients."""
        return copy.deepcopy(self).eval().requires_grad_(False).float()


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    *,
    padding_mode: Literal["zeros", "replicate"] = "zeros",
) -> nn.Conv2d:
    """A convolution with an odd kernel that keeps height and width."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode=padding_mode)


def shuffle_upsampler(features: int, scale: int, *, activation: bool) -> nn.Sequential:
    """Sub-pixel upsampling (ESPCN, section 2.2): convolution and shuffle, x4 in two steps of x2.

    (N, features, h, w) -> (N, features, h*scale, w*scale).

    Args:
        features: Channels of input and output.
        scale: 2, 3 or 4.
        activation: A PReLU after each shuffle, as in SRResNet; EDSR and RCAN have none.
    """
    steps = {2: [2], 3: [3], 4: [2, 2]}[scale]
    layers: list[nn.Module] = []
    for step in steps:
        layers += [conv(features, features * step * step), nn.PixelShuffle(step)]
        if activation:
            layers.append(nn.PReLU())
    return nn.Sequential(*layers)
