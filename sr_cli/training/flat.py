"""Flat colours stay flat: a short calibration after training that changes little else."""

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
"""Side of the small wrapped image that stands for an infinite plane, and the margin of it that is
ignored: a transposed convolution does not wrap around."""

_COLOURS = 96


@contextmanager
def wrapped_convolutions(model: SRModel) -> Iterator[None]:
    """Make convolutions wrap around: a small flat image is then an infinite flat plane."""
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
    """The network's output for infinite flat planes, and the output that is wanted.

    Args:
        model: In evaluation mode.
        colours: (N, C) in [0, 1].

    Returns:
        Two tensors (N, C, h, w).
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
    """The largest deviation of a flat colour, in steps of 8 bits, after clipping."""
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
    """A copy of a network that keeps flat colours flat, and whose output is otherwise the same.

    Args:
        model: In evaluation mode; it is not changed.
        images: lr (C, h, w) in [0, 1], at least `patch` a side, on which the output is kept.
        steps: Of Adam.
        learning_rate: The first; it falls to 0 linearly.
        batch: Crops in a step.
        patch: Their side.

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
        # Clipping corrects what is beyond the range: white may become whiter than white.
        at_an_end = (wanted - low < 1e-4) | (high - wanted < 1e-4)
        inside = torch.where(at_an_end, sr.clamp(low, high), sr)
        loss = F.l1_loss(tuned(lr_batch), as_before) + 4 * ((inside - wanted) ** 2).mean().sqrt()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimiser.step()
    return tuned
