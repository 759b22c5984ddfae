"""Flat colours stay flat: a short calibration after training that changes nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sr_cli.networks.base import SRModel

_PLANE, _EDGE = 6, 2
"""Side of the small wrapped picture that stands for an endless plane, and how much of it is not
looked at: a transposed convolution does not wrap around."""

_COLOURS = 96


@contextmanager
def endless_planes(model: SRModel) -> Iterator[None]:
    """While it lasts, convolutions wrap around: a small flat picture is an endless flat plane."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    modes = [m.padding_mode for m in layers]
    try:
        for layer in layers:
            layer.padding_mode = "circular"
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.padding_mode = mode


def flat_planes(model: SRModel, colours: Tensor) -> tuple[Tensor, Tensor]:
    """What the network makes of endless planes, and what it should: (N, C, h, w) each.

    colours (N, C) in [0, 1].
    """
    planes = colours[:, :, None, None].expand(-1, -1, _PLANE, _PLANE).contiguous()
    with endless_planes(model):
        sr: Tensor = model(planes)
    inside = slice(_EDGE * model.scale, -_EDGE * model.scale)
    sr = sr[..., inside, inside]
    return sr, planes[:, :, :1, :1].expand_as(sr)


def ends(channels: int) -> tuple[float, float]:
    """The darkest and the brightest value: luma has the studio range."""
    return (16 / 255, 235 / 255) if channels == 1 else (0.0, 1.0)


def some_colours(channels: int, count: int, random: torch.Generator) -> Tensor:
    """(count, channels) between the ends: anywhere, and often with channels at an end."""
    colours = torch.rand(count, channels, generator=random)
    extreme = torch.rand(count, channels, generator=random) < 0.3
    low, high = ends(channels)
    return torch.where(extreme, colours.round(), colours) * (high - low) + low


@torch.no_grad()
def flat_error(model: SRModel) -> float:
    """The largest deviation of a flat colour, in steps of 8 bits, after clipping."""
    colours = some_colours(model.channels, 2000, torch.Generator().manual_seed(1))
    sr, wanted = flat_planes(model, colours)
    low, high = ends(model.channels)
    return float((sr.clamp(low, high) - wanted).abs().max() * 255 / (high - low))


def calibrate_flat(
    model: SRModel,
    pictures: Sequence[Tensor],
    *,
    steps: int = 200,
    learning_rate: float = 3e-5,
    batch: int = 4,
    patch: int = 24,
) -> SRModel:
    """A copy of `model` whose flat colours are right and whose pictures are those of `model`.

    pictures: lr (C, h, w) in [0, 1], at least `patch` a side. Batch statistics stay as they are.
    """
    tuned = copy.deepcopy(model).eval()
    random = torch.Generator().manual_seed(0)
    low, high = ends(model.channels)
    optimiser = torch.optim.Adam(tuned.parameters(), lr=learning_rate)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * (1 - step / steps)
        crops = []
        for _ in range(batch):
            lr = pictures[int(torch.randint(len(pictures), (1,), generator=random))]
            y = int(torch.randint(lr.shape[1] - patch + 1, (1,), generator=random))
            x = int(torch.randint(lr.shape[2] - patch + 1, (1,), generator=random))
            crops.append(lr[:, y : y + patch, x : x + patch])
        lr_batch = torch.stack(crops)
        with torch.no_grad():
            as_before = model(lr_batch)
        sr, wanted = flat_planes(tuned, some_colours(model.channels, _COLOURS, random))
        # Beyond the ends clipping makes it right: white may become whiter than white.
        at_an_end = (wanted - low < 1e-4) | (high - wanted < 1e-4)
        inside = torch.where(at_an_end, sr.clamp(low, high), sr)
        loss = F.l1_loss(tuned(lr_batch), as_before) + 4 * ((inside - wanted) ** 2).mean().sqrt()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
    return tuned
