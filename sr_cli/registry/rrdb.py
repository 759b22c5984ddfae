"""ESRGAN's network (Wang et al., 2018; Real-ESRGAN's x4plus, BSRGAN and most community models).

spandrel's module concatenates feature maps before nearly every convolution, and enlarges whole
tiles. Here the same layers run without concatenations, and what enlarges runs in strips.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor, nn

from sr_cli.layers.dense import DenseBlocks
from sr_cli.layers.fusion import fusion_works
from sr_cli.layers.strips import in_strips

_SLOPE = 0.2

_IN_TAILS = (nn.Conv2d, nn.LeakyReLU, nn.PixelShuffle, nn.Upsample)


class _StripwiseTail(nn.Module):
    """What enlarges features, in strips."""

    def __init__(self, layers: Iterable[nn.Module], scale: int, context: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.scale = scale
        self.context = context

    def forward(self, x: Tensor) -> Tensor:
        return in_strips(
            lambda first, last: self.layers(x[:, :, first:last]),
            x,
            context=self.context,
            factor=self.scale,
        )


def accelerate(net: nn.Module) -> _StripwiseTail | None:
    """Let spandrel's RRDBNet run faster, in place.

    Args:
        net: Any network.

    Returns:
        What then sees strips only; None if the network is another one.
    """
    layers = getattr(net, "model", None)
    if type(net).__name__ != "RRDBNet" or not isinstance(layers, nn.Sequential):
        return None
    head, trunk, *tail = layers
    body = getattr(trunk, "sub", None)
    if not isinstance(body, nn.Sequential) or not all(isinstance(m, _IN_TAILS) for m in tail):
        return None
    _join_blocks(body)
    last = _StripwiseTail(tail, *_scale_and_reach(tail))
    net.model = nn.Sequential(head, trunk, last)
    return last


def _join_blocks(body: nn.Sequential) -> None:
    """Replace the blocks at the beginning of the body, if they are all of the usual form."""
    blocks = [part for part in body if type(part).__name__ == "RRDB"]
    others = [part for part in body if part not in blocks]
    found = [_dense_blocks_of(block) for block in blocks]
    on_cpu = all(p.device.type == "cpu" for p in body.parameters())
    if not (on_cpu and fusion_works() and _are_usual(found)):
        return
    body._modules.clear()
    body.append(DenseBlocks(found, _SLOPE))
    for part in others:
        body.append(part)


def _dense_blocks_of(block: nn.Module) -> list[list[nn.Conv2d]]:
    """The convolutions of the dense blocks of a block; none for other forms of it."""
    dense_blocks = list(block.children())
    found = []
    for dense in dense_blocks:
        # ESRGAN+ adds a convolution of another kind.
        parts = [list(part.children()) for part in dense.children()]
        *growing, last = [[c for c in part if isinstance(c, nn.Conv2d)] for part in parts] or [[]]
        activations = [a for part in parts for a in part if not isinstance(a, nn.Conv2d)]
        usual = all(isinstance(a, nn.LeakyReLU) and a.negative_slope == _SLOPE for a in activations)
        if not usual or len(activations) != len(growing) or any(len(p) != 1 for p in growing):
            return []
        found.append([part[0] for part in [*growing, last] if part])
    return found


def _are_usual(blocks: list[list[list[nn.Conv2d]]]) -> bool:
    """Whether all blocks have three dense blocks of five 3x3 convolutions that fit together."""
    if not blocks or any(len(b) != 3 or any(len(d) != 5 for d in b) for b in blocks):
        return False
    first = blocks[0][0][0]
    features, growth = first.in_channels, first.out_channels
    return features % growth == 0 and all(
        _is_plain(layer)
        and layer.in_channels == features + index * growth
        and layer.out_channels == (features if index == 4 else growth)
        for block in blocks
        for dense in block
        for index, layer in enumerate(dense)
    )


def _is_plain(layer: nn.Conv2d) -> bool:
    return (
        layer.kernel_size == (3, 3)
        and layer.padding == (1, 1)
        and layer.stride == (1, 1)
        and layer.padding_mode == "zeros"
        and layer.bias is not None
    )


def _scale_and_reach(tail: list[nn.Module]) -> tuple[int, int]:
    """By what the layers enlarge, and how far, in pixels of their input, they look."""
    scale, reach = 1, 0.0
    for layer in tail:
        if isinstance(layer, nn.Upsample):
            scale *= round(float(str(layer.scale_factor)))
        elif isinstance(layer, nn.PixelShuffle):
            scale *= layer.upscale_factor
        elif isinstance(layer, nn.Conv2d):
            reach += layer.kernel_size[0] // 2 / scale
    return scale, math.ceil(reach) + 1
