"""Swift: a small network of ours, made for speed, after SPAN (Wan et al., 2023)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.layers.fusion import Residual, add_to, in_channels_last, runs_in_half
from sr_cli.layers.initial import (
    initial_weights,
    shrink_residual_branch,
    start_as_linear_interpolation,
    start_as_passthrough,
)
from sr_cli.layers.last import repeating
from sr_cli.networks.base import InferenceNet, SRModel, SubpixelNet, conv

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.2),
    "silu": nn.SiLU,
}


class Block(nn.Module):
    """Convolutions with activations between them, added to the input."""

    def __init__(self, features: int, layers: int, kernel: int, activation: str) -> None:
        super().__init__()
        parts: list[nn.Module] = [conv(features, features, kernel)]
        for _ in range(layers - 1):
            parts += [_ACTIVATIONS[activation](), conv(features, features, kernel)]
        self.branch = nn.Sequential(*parts)
        shrink_residual_branch(self.branch[-1])

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + branch


class Swift(SRModel):
    """Seven blocks of two 3x3 convolutions at lr resolution, and one shuffle.

    lr (N, 3, h, w) in [0, 1] -> sr (N, 3, h*scale, w*scale), as the difference to the lr pixel.
    SPAN's six blocks of three (section 3.2) are trained with wide convolutions that are merged
    afterwards, multiply by an attention without weights, and are joined by a 1x1 convolution. Here
    they are trained as they run, and each block adds to its input. At the same size that learned
    more in 400 steps (27.25 dB on held-back photographs x4, with the paper's blocks 26.85), and it
    needs no pass over memory between convolutions.
    """

    name = "swift"
    paper = "Ours, after Wan et al., Swift Parameter-free Attention Network, 2023"
    channels = 3
    margin = 4

    def __init__(
        self,
        *,
        scale: int,
        features: int = 32,
        blocks: int = 7,
        layers: int = 2,
        kernel: int = 3,
        activation: str = "relu",
    ) -> None:
        config = {"features": features, "blocks": blocks, "layers": layers, "kernel": kernel}
        super().__init__(scale, {**config, "activation": activation})
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation {activation} is not one of {', '.join(_ACTIVATIONS)}")
        self.head = conv(3, features)
        self.body = nn.Sequential(
            *(Block(features, layers, kernel, activation) for _ in range(blocks))
        )
        self.tail = conv(features, 3 * scale * scale)
        start_as_passthrough(self.head, 3)
        self._start_as_interpolation()

    @initial_weights
    @torch.no_grad()
    def _start_as_interpolation(self) -> None:
        """Start the tail as linear interpolation minus the lr pixel, other weights small."""
        weight, copies = self.tail.weight, self.scale**2
        weight.mul_(0.1)
        assert self.tail.bias is not None
        self.tail.bias.zero_()
        for colour in range(3):
            own = weight[colour * copies : (colour + 1) * copies, colour]
            start_as_linear_interpolation(own, self.scale, 1.0)
            own[:, 1, 1] -= 1

    @property
    def receptive_radius(self) -> int:
        c = self.config
        body: int = c["blocks"] * c["layers"] * (c["kernel"] // 2)
        return 1 + body + 1

    def forward(self, lr: Tensor) -> Tensor:
        beyond: Tensor = self.tail(self.body(self.head(lr)))
        return F.pixel_shuffle(beyond + lr.repeat_interleave(self.scale**2, 1), self.scale)

    def for_inference(self) -> InferenceNet:
        return _FastSwift(self).eval()


class _FastSwift(SubpixelNet):
    """Swift with everything but the lr pixel in half precision.

    What is rounded is only the difference to the lr pixel, which is small: no layer needs float32.
    """

    def __init__(self, model: Swift) -> None:
        super().__init__(model.scale)
        frozen = model.frozen_copy()
        self.head, self.tail = frozen.head, frozen.tail
        self.body = nn.Sequential(
            *(Residual(*block.branch) for block in frozen.body if isinstance(block, Block))
        )
        self.repeat = repeating(3, model.scale**2)

    def half_parts(self) -> list[nn.Module]:
        return [self.head, self.body, self.tail]

    def subpixels(self, lr: Tensor) -> Tensor:
        beyond: Tensor = self.tail(self.body(self.head(lr.to(self.half_dtype)))).float()
        if runs_in_half(lr) and not torch.compiler.is_compiling():
            return add_to(in_channels_last(beyond), in_channels_last(lr), self.repeat)
        return beyond + lr.repeat_interleave(self.factor**2, 1)


MODEL = Swift
