"""Tuning of a network to one image, on the image's own reductions.

Zero-shot super-resolution (Shocher et al., Zero-Shot Super-Resolution using Deep Internal Learning,
2018, section 3), started from trained weights: the image is hr, its reduction with MATLAB's bicubic
is lr. Structure that repeats at several sizes is learned; a part of the image that is held back
decides whether the tuned weights are better.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_cli.engine.options import Adaptation
from sr_cli.engine.pipeline import (
    BicubicPipeline,
    ConsistentPipeline,
    NetworkPipeline,
    OnShare,
    Pipeline,
)
from sr_cli.errors import SrError
from sr_cli.imaging.colour import LUMA_RANGE, LUMA_WEIGHTS
from sr_cli.imaging.edges import positions_beyond
from sr_cli.imaging.resize import crop_to_multiple
from sr_cli.networks.base import SRModel
from sr_cli.registry.loaded import LoadedModel

_BATCH, _PATCH = 4, 32
"""Crops of a step, and their side in lr pixels."""

_EDGE = 4
"""Lr pixels at the edges of a crop that do not count: the network pads with zeros there."""

_LEARNING_RATE = 2e-5

_CELL, _CONTEXT = 16, 8
"""The side of a cell that is held back, and what is read around it, in lr pixels."""

_HELD_BACK, _MOST_CELLS = 5, 64
"""One of so many cells is held back, and at most so many: more would only cost time."""

_CHECK_EVERY = 25
"""Steps between measurements on the part that is held back."""

_LEAST_GAIN = 0.05
"""In dB. What gains less on the reduction may as well lose on the image itself."""


@dataclass(frozen=True)
class Adapted:
    """What tuning led to.

    Attributes:
        model: The tuned model; None if it is not better on the part that was held back.
        steps: That were made.
        gain: In dB of PSNR on the part that was held back.
    """

    model: LoadedModel | None
    steps: int
    gain: float


@dataclass(frozen=True)
class _Pairs:
    """An image and its reduction.

    Attributes:
        lr: (h, w) or (h, w, 3), uint8, uint16 or float32 in [0, 1].
        hr: (h*scale, w*scale) or (h*scale, w*scale, 3) of the same type.
        counted: (h, w), 0 where lr pixels are held back, else 1.
        held_lr: (N, C, ...) cells that are held back, with what is around them.
        held_hr: (N, C, ...) the cells alone.
    """

    lr: NDArray[Any]
    hr: NDArray[Any]
    counted: NDArray[np.float32]
    held_lr: Tensor
    held_hr: Tensor


def adapt_model(
    model: LoadedModel,
    image: NDArray[Any],
    budget: Adaptation,
    device: torch.device,
    on_share: OnShare | None = None,
) -> Adapted:
    """Tune a copy of a network to an image.

    The same number of steps gives the same weights on the same machine. With a time, the machine
    decides how many steps there are.

    Args:
        model: With a network of sr; it is not changed.
        image: (h, w) or (h, w, 3), uint8, uint16 or float32 in [0, 1].
        budget: How long.
        device: Where to compute.
        on_share: Called with the share of the budget that is spent, 0 to 1.

    Raises:
        SrError: `too-small-to-adapt`.
    """
    began = time.monotonic()
    random = np.random.default_rng(0)
    pairs = _pairs_of(model, image, random)
    network = copy.deepcopy(model.network).float().eval().requires_grad_(True)
    network.to(device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), lr=_LEARNING_RATE)
    before = errors = _errors_held_back(network, pairs)
    best: dict[str, Tensor] | None = None
    step, share = 0, 0.0
    while share < 1:
        optimiser.zero_grad(set_to_none=True)
        _loss(network, model, pairs, random).backward()
        optimiser.step()
        step += 1
        share = budget.share(step, time.monotonic() - began)
        if on_share is not None:
            on_share(share)
        if share >= 1 or step % _CHECK_EVERY == 0:
            found = _errors_held_back(network, pairs)
            if found.mean() < errors.mean():
                errors, best = found, copy.deepcopy(network.state_dict())
    if best is None or not _is_better(errors, before):
        return Adapted(None, step, 0.0)
    network.load_state_dict(best)
    gain = _gain(errors, before)
    tuned = network.cpu().requires_grad_(False)
    return Adapted(replace(model, network=tuned), step, gain)


def with_model(pipeline: Pipeline, model: LoadedModel) -> Pipeline:
    """A pipeline of one network with another model in its place."""
    if isinstance(pipeline, ConsistentPipeline):
        return ConsistentPipeline(with_model(pipeline.pipeline, model))
    assert isinstance(pipeline, NetworkPipeline)
    return NetworkPipeline(pipeline.upscaler.with_models([model]), pipeline.wrap)


def _pairs_of(model: LoadedModel, image: NDArray[Any], random: np.random.Generator) -> _Pairs:
    """Reduce the image, and choose the cells that are held back."""
    scale = model.network.scale
    hr = crop_to_multiple(image, scale)
    h, w = hr.shape[0] // scale, hr.shape[1] // scale
    if min(h, w) < _PATCH:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise SrError("too-small-to-adapt", size=size, smallest=_PATCH * scale)
    lr = BicubicPipeline().run(hr, (h, w))
    grid = np.argwhere(np.ones((h // _CELL, w // _CELL), bool))
    count = min(_MOST_CELLS, len(grid) // _HELD_BACK or 1)
    cells = grid[np.sort(random.permutation(len(grid))[:count])] * _CELL
    counted = np.ones((h, w), np.float32)
    held_lr, held_hr = [], []
    for top, left in cells:
        counted[top : top + _CELL, left : left + _CELL] = 0
        rows, columns = (
            positions_beyond(first - _CONTEXT, first + _CELL + _CONTEXT, length)
            for first, length in ((top, h), (left, w))
        )
        held_lr.append(_as_tensor(lr[rows][:, columns], model))
        held_hr.append(_as_tensor(_part(hr, top, left, _CELL, scale), model))
    return _Pairs(lr, hr, counted, torch.stack(held_lr), torch.stack(held_hr))


def _part(image: NDArray[Any], top: int, left: int, side: int, scale: int = 1) -> NDArray[Any]:
    """A square of an image, given in lr pixels."""
    return image[top * scale : (top + side) * scale, left * scale : (left + side) * scale]


def _as_tensor(pixels: NDArray[Any], model: LoadedModel) -> Tensor:
    """Convert (h, w) or (h, w, 3) samples to (C, h, w) in the range of a network."""
    top = 1.0 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    values = pixels.astype(np.float32) / np.float32(top)
    if model.network.channels == 3:
        colour = values if values.ndim == 3 else np.repeat(values[..., None], 3, 2)
        return torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1)))
    black, white = model.traits.value_range
    # The luma of three equal channels is the gray value.
    gray = values if values.ndim == 2 else values @ (LUMA_WEIGHTS / LUMA_RANGE)
    return torch.from_numpy((gray * (white - black) + black).astype(np.float32))[None]


def _loss(network: SRModel, model: LoadedModel, pairs: _Pairs, random: np.random.Generator) -> Any:
    """The mean absolute error of random crops, flipped and turned, without what is held back."""
    scale, (h, w) = network.scale, pairs.lr.shape[:2]
    device = next(network.parameters()).device
    crops = []
    for _ in range(_BATCH):
        y, x = int(random.integers(h - _PATCH + 1)), int(random.integers(w - _PATCH + 1))
        turns, flip = int(random.integers(4)), bool(random.integers(2))
        counts = np.zeros((_PATCH, _PATCH), np.float32)
        inner = slice(_EDGE, _PATCH - _EDGE)
        counts[inner, inner] = _part(pairs.counted, y, x, _PATCH)[inner, inner]
        parts = (
            _as_tensor(_part(pairs.lr, y, x, _PATCH), model),
            _as_tensor(_part(pairs.hr, y, x, _PATCH, scale), model),
            torch.from_numpy(counts.repeat(scale, 0).repeat(scale, 1))[None],
        )
        turned = [torch.rot90(part, turns, (1, 2)) for part in parts]
        crops.append([part.flip(2) if flip else part for part in turned])
    lr, hr, counted = (torch.stack(parts).to(device) for parts in zip(*crops, strict=True))
    error = (_run(network, lr) - hr).abs() * counted
    return error.sum() / (counted.sum() * hr.shape[1]).clamp(min=1)


@torch.no_grad()
def _errors_held_back(network: SRModel, pairs: _Pairs) -> NDArray[np.float64]:
    """The mean squared error of each cell that is held back."""
    inner = slice(_CONTEXT * network.scale, -_CONTEXT * network.scale)
    device = next(network.parameters()).device
    errors = []
    for lr, hr in zip(
        torch.split(pairs.held_lr, _BATCH), torch.split(pairs.held_hr, _BATCH), strict=True
    ):
        sr = _run(network, lr.to(device))[..., inner, inner]
        errors.append((sr - hr.to(device)).square().mean((1, 2, 3)).cpu().numpy())
    return np.concatenate(errors).astype(np.float64)


def _run(network: SRModel, lr: Tensor) -> Tensor:
    sr: Tensor = network(lr.contiguous(memory_format=torch.channels_last))
    return sr


def _gain(after: NDArray[np.float64], before: NDArray[np.float64]) -> float:
    """In dB of PSNR."""
    return 10 * math.log10(before.mean() / max(after.mean(), 1e-12))


def _is_better(after: NDArray[np.float64], before: NDArray[np.float64]) -> bool:
    """Whether errors fell enough, and by more than what may be chance.

    Chance is the standard error of the mean over the cells.
    """
    fell = before - after
    chance = fell.std(ddof=1) / math.sqrt(len(fell)) if len(fell) > 1 else 0.0
    return bool(fell.mean() > chance) and _gain(after, before) >= _LEAST_GAIN
