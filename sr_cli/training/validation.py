"""The figure by which the best weights are chosen: PSNR-Y on pictures that are not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.colour import luma
from sr_cli.imaging.degrade import degrade
from sr_cli.networks.base import SRModel
from sr_cli.training.pictures import Pair, Pixels
from sr_cli.training.recipe import Recipe

MOST = 16
"""Pictures that are looked at, so that validation stays short."""

_SIDE = 480

_MOST_TIMES = 40
"""Validations in a run of so many steps."""

_FEWEST_STEPS = 100
_SHARE = 0.1
_PASSES = 3
"""What a training step costs in evaluations of its crops: forward once, backward twice."""


@dataclass(frozen=True)
class Example:
    """lr (h, w, 3) and hr (h*scale, w*scale, 3), uint8."""

    name: str
    lr: Pixels
    hr: Pixels
    scale: int


def make_examples(pairs: Sequence[Pair], recipe: Recipe) -> list[Example]:
    """The middle of up to MOST pictures at every scale, degraded as the training crops are."""
    chosen = pairs if len(pairs) <= MOST else [pairs[i * len(pairs) // MOST] for i in range(MOST)]
    examples = []
    for scale in recipe.scales:
        for number, pair in enumerate(chosen):
            hr, top, left = _middle(pair.hr, scale)
            random = np.random.default_rng([recipe.seed, 1 << 40, number])
            if pair.lr is not None:
                h, w = hr.shape[0] // scale, hr.shape[1] // scale
                y, x = top // scale, left // scale
                lr = pair.lr[y : y + h, x : x + w]
            else:
                lr = degrade(
                    hr,
                    scale=scale,
                    degradation=recipe.degradation,
                    random=random,
                    noise_sigma=recipe.noise_sigma,
                    photo=recipe.photo,
                )
            examples.append(Example(pair.name, np.ascontiguousarray(lr), hr, scale))
    return examples


def _middle(hr: Pixels, scale: int) -> tuple[Pixels, int, int]:
    h, w = (min(n, _SIDE) // scale * scale for n in hr.shape[:2])
    top = (hr.shape[0] - h) // 2 // scale * scale
    left = (hr.shape[1] - w) // 2 // scale * scale
    return np.ascontiguousarray(hr[top : top + h, left : left + w]), top, left


def steps_between(recipe: Recipe, examples: Sequence[Example], steps: int) -> int:
    """Steps from one validation to the next, so that they take a tenth of the time at most.

    By counting pixels, not by the clock: the same run keeps the same weights on any machine.
    """
    seen: int = sum(e.hr.shape[0] * e.hr.shape[1] for e in examples)
    trained = _PASSES * recipe.batch * (recipe.lr_patch * max(recipe.scales)) ** 2
    return max(_FEWEST_STEPS, steps // _MOST_TIMES, math.ceil(seen / trained / _SHARE))


def seconds_between(limit: float, took: float) -> float:
    """The same for a run of `limit` seconds, of which the last validation `took` some."""
    return max(20.0, limit / _MOST_TIMES, took / _SHARE)


@torch.no_grad()
def enlarge(model: SRModel, example: Example, half: torch.dtype | None) -> NDArray[np.float32]:
    """What the network makes of an example: (h, w, 3) RGB or (h, w, 1) luma, 0 to 255."""
    device = next(model.parameters()).device
    model.scale = example.scale
    if model.channels == 1:
        x = torch.from_numpy(luma(example.lr) / 255).float()[None, None]
    else:
        x = torch.from_numpy(example.lr).permute(2, 0, 1).float()[None] / 255
    x = x.to(device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, half, enabled=half is not None):
        sr = model(x).float()
    values: NDArray[np.float32] = (sr[0].clamp(0, 1) * 255).permute(1, 2, 0).cpu().numpy()
    return values


def validate(model: SRModel, examples: Sequence[Example], half: torch.dtype | None) -> float:
    """Mean PSNR-Y in dB, borders of `scale` pixels left out; RGB is rounded before."""
    total = 0.0
    for example in examples:
        sr = enlarge(model, example, half)
        if model.channels == 1:
            found = psnr_y(sr[..., 0], luma(example.hr), border=example.scale)
        else:
            found = psnr_y(rounded(sr), example.hr, border=example.scale)
        total += min(found, 100.0)
    return total / len(examples)


def rounded(picture: NDArray[Any]) -> Pixels:
    """Values of 0 to 255 as uint8."""
    return np.floor(picture + 0.5).astype(np.uint8)
