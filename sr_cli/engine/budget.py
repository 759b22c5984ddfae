"""How large tiles are: what networks see around them, and how much memory they take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sr_cli.engine.device import free_memory
from sr_cli.layers.fusion import FusedConvolution
from sr_cli.networks.base import InferenceNet, SubpixelNet
from sr_cli.networks.bicubic import RADIUS
from sr_cli.registry.loaded import LoadedModel

POOLING_HALO = 24
"""The halo of networks that pool over the whole image and have no receptive radius."""

_CPU_BUDGET = 180 << 20
_STRETCHED_BUDGET = 3 * _CPU_BUDGET
"""The budget for networks whose halo would otherwise cost more than the tile itself."""

_MIN_HALOS = 8
"""The wanted side of a tile, in halos: it then computes 1.56 times its core."""

_PROBE = 48


def needed_halo(model: LoadedModel) -> int:
    """The context in lr pixels that a tile of this network needs on each side."""
    if model.traits.halo is not None:
        return model.traits.halo
    radius = model.network.receptive_radius
    return max(POOLING_HALO if radius is None else radius, RADIUS)


def needed_margin(model: LoadedModel) -> int:
    """How far, in lr pixels, an image is continued beyond its edges for this network."""
    return model.network.margin if model.traits.margin is None else model.traits.margin


def choose_tile(bytes_per_pixel: int, halo: int, device: torch.device, *, differs: bool) -> int:
    """The largest tile within the memory budget, 64 to 512 lr pixels (1024 on a GPU).

    Args:
        bytes_per_pixel: Working memory per lr pixel.
        halo: Of a tile, in lr pixels.
        device: Where it is computed.
        differs: Whether tiles can never equal the whole image; they are then as large as fit.
    """
    free = free_memory(device)

    def within(budget: int) -> int:
        return math.isqrt(budget // bytes_per_pixel) - 2 * halo

    if differs:
        return max(64, within(free // 2))
    if device.type != "cpu":
        return max(64, min(within(min(free // 2, 4 << 30)), 1024))
    side = within(min(_CPU_BUDGET, free // 4))
    stretched = within(min(_STRETCHED_BUDGET, free // 4))
    return max(64, min(max(side, min(stretched, _MIN_HALOS * halo)), 512))


@torch.inference_mode()
def bytes_per_pixel(
    nets: Sequence[InferenceNet], channels: Sequence[int], scale: int, device: torch.device
) -> int:
    """Working memory per lr pixel, estimated from the tensors of a small tile.

    Args:
        nets: The networks, one after the other.
        channels: Of the input of each.
        scale: Of all of them.
        device: Where they are.
    """
    most = 0

    def record(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal most
        tensors = [*(t for t in inputs if isinstance(t, Tensor)), output]
        most = max(most, sum(t.numel() * t.element_size() for t in tensors))

    for net, inputs in zip(nets, channels, strict=True):
        apart = set(net.seen_in_strips.modules()) if net.seen_in_strips else set()
        layers = [
            m
            for m in net.modules()
            if m not in apart and (isinstance(m, FusedConvolution) or not list(m.children()))
        ]
        hooks = [layer.register_forward_hook(record) for layer in layers]
        net(torch.zeros(1, inputs, _PROBE, _PROBE, device=device))
        for hook in hooks:
            hook.remove()
        most = max(most, net.bytes_per_pixel * _PROBE**2)
    # Plus, to the busiest layer, the skip connection and the result as float and integer; images of
    # floats are not made of a single network's result before its shuffle.
    images = 3 if len(nets) == 1 and isinstance(nets[0], SubpixelNet) else 8
    return int(1.5 * most / _PROBE**2) + 3 * 4 * scale**2 * images
