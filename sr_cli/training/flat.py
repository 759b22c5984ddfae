"""Calibration after training, so that flat colours stay flat."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.networks.base import SRModel
from sr_cli.registry.loaded import default_value_range

_PLANE, _EDGE = 6, 2
"""The side of the wrapped image that represents an infinite plane, and the margin that is ignored,
because transposed convolutions do not wrap around."""

_COLOURS = 96


@contextmanager
def wrapped_convolutions(model: SRModel) -> Iterator[None]:
    """Make convolutions wrap around, so that a small flat image acts as an infinite plane."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    modes = [m.padding_mode for m in layers]
    try:
        for layer in layers:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.padding_mode = mode


def upscale_flat_planes(model: SRModel, colours: Tensor) -> tuple[Tensor, Tensor]:
    """Upscale infinite flat planes.

    Args:
        model: In evaluation mode.
        colours: (N, C) in [0, 1].

    Returns:
        The network's output and the wanted output, both (N, C, h, w).
    """
    planes = colours[:, :, None, None].expand(-1, -1, _PLANE, _PLANE).contiguous()
    with wrapped_convolutions(model):
        sr: Tensor = model(planes)
    inside = slice(_EDGE * model.scale, -_EDGE * model.scale)
    sr = sr[..., inside, inside]
    return sr, planes[:, :, :1, :1].expand_as(sr)


def random_colours(channels: int, count: int, random: torch.Generator) -> Tensor:
    """(count, channels) within the value range, often with channels at its ends."""
    colours = torch.rand(count, channels, generator=random)
    extreme = torch.rand(count, channels, generator=random) < 0.3
    low, high = default_value_range(channels)
    return torch.where(extreme, colours.round(), colours) * (high - low) + low


@torch.no_grad()
def flat_error(model: SRModel) -> float:
    """The largest deviation from a flat colour, in 8-bit steps, after clipping."""
    colours = random_colours(model.channels, 2000, torch.Generator().manual_seed(1))
    sr, wanted = upscale_flat_planes(model, colours)
    low, high = default_value_range(model.channels)
    return float((sr.clamp(low, high) - wanted).abs().max() * 255 / (high - low))


def calibrate_flat(
    model: SRModel,
    images: Sequence[Tensor],
    *,
    steps: int = 200,
    learning_rate: float = 3e-5,
    batch: int = 4,
    patch: int = 24,
) -> SRModel:
    """Train a copy of a network to keep flat colours flat, with its other output unchanged.

    Args:
        model: In evaluation mode; it is not changed.
        images: lr (C, h, w) in [0, 1], at least `patch` a side, on which the output is kept.
        steps: Steps of Adam.
        learning_rate: The initial learning rate, which decreases linearly to 0.
        batch: Crops per step.
        patch: Side of a crop, in lr pixels.

    Returns:
        The copy, in evaluation mode; its batch statistics are those of `model`.
    """
    tuned = copy.deepcopy(model).eval()
    random = torch.Generator().manual_seed(0)
    low, high = default_value_range(model.channels)
    optimiser = torch.optim.Adam(tuned.parameters(), lr=learning_rate)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        crops = []
        for _ in range(batch):
            lr = images[int(torch.randint(len(images), (1,), generator=random))]
            y = int(torch.randint(lr.shape[1] - patch + 1, (1,), generator=random))
            x = int(torch.randint(lr.shape[2] - patch + 1, (1,), generator=random))
            crops.append(lr[:, y : y + patch, x : x + patch])
        lr_batch = torch.stack(crops)
        with torch.no_grad():
            as_before = model(lr_batch)
        sr, wanted = upscale_flat_planes(tuned, random_colours(model.channels, _COLOURS, random))
        # Values outside the range are clipped anyway, so black and white may overshoot.
        is_extreme = (wanted - low < 1e-4) | (high - wanted < 1e-4)
        inside = torch.where(is_extreme, sr.clamp(low, high), sr)
        loss = F.l1_loss(tuned(lr_batch), as_before) + 4 * ((inside - wanted) ** 2).mean().sqrt()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
    return tuned
