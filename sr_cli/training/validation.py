"""The figure by which the best weights are chosen, on images that are not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_cli.evaluation.lpips import LPIPS
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.colour import luma
from sr_cli.imaging.degrade import degrade
from sr_cli.networks.base import SRModel
from sr_cli.training.images import Pair, Pixels
from sr_cli.training.recipe import Recipe

MAX_EXAMPLES = 16
"""Images that are used, so that validation stays short."""

_SIDE = 480
"""Largest side of the part of an image that is used, in hr pixels."""

_MAX_VALIDATIONS = 40
_MIN_STEPS, _MIN_SECONDS = 100, 20.0
"""From one validation to the next."""

_SHARE = 0.1
"""The most of a run's time that validations may take."""

_PASSES = 3
"""What a training step costs in evaluations of its crops: forward once, backward twice."""


@dataclass(frozen=True)
class ValidationMetric:
    """A measure of how good weights are: its name, how it is written, and which way is better."""

    name: str
    unit: str
    digits: int
    higher_is_better: bool

    def is_better(self, figure: float, best: float) -> bool:
        """Whether a figure is better than the best so far (-inf: there is none)."""
        if best == -math.inf:
            return True
        return figure > best if self.higher_is_better else figure < best


FIGURES = {
    "psnr": ValidationMetric("PSNR-Y", " dB", 2, higher_is_better=True),
    "lpips": ValidationMetric("LPIPS", "", 4, higher_is_better=False),
}
"""By the recipe's `validate`."""


@dataclass(frozen=True)
class Example:
    """An image to validate on: lr (h, w, 3) and hr (h*scale, w*scale, 3), uint8."""

    name: str
    lr: Pixels
    hr: Pixels
    scale: int


def make_examples(pairs: Sequence[Pair], recipe: Recipe) -> list[Example]:
    """The centre of up to MAX_EXAMPLES images at every scale, degraded as training crops are."""
    count = min(len(pairs), MAX_EXAMPLES)
    chosen = [pairs[i * len(pairs) // count] for i in range(count)]
    examples = []
    for scale in recipe.scales:
        for number, pair in enumerate(chosen):
            hr, top, left = _centre(pair.hr, scale)
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


def _centre(hr: Pixels, scale: int) -> tuple[Pixels, int, int]:
    h, w = (min(n, _SIDE) // scale * scale for n in hr.shape[:2])
    top = (hr.shape[0] - h) // 2 // scale * scale
    left = (hr.shape[1] - w) // 2 // scale * scale
    return np.ascontiguousarray(hr[top : top + h, left : left + w]), top, left


def validation_interval(recipe: Recipe, examples: Sequence[Example], steps: int) -> int:
    """Steps from one validation to the next, so that they take at most a tenth of the time.

    Pixels are counted, not seconds: the same run keeps the same weights on any machine.
    """
    evaluated: int = sum(e.hr.shape[0] * e.hr.shape[1] for e in examples)
    trained = _PASSES * recipe.batch * (recipe.lr_patch * max(recipe.scales)) ** 2
    return max(_MIN_STEPS, steps // _MAX_VALIDATIONS, math.ceil(evaluated / trained / _SHARE))


def validation_interval_seconds(limit: float, took: float) -> float:
    """The same for a run of `limit` seconds whose last validation `took` so many."""
    return max(_MIN_SECONDS, limit / _MAX_VALIDATIONS, took / _SHARE)


@torch.no_grad()
def upscale_example(
    model: SRModel, example: Example, precision: torch.dtype | None
) -> NDArray[np.float32]:
    """The network's output for an example: (h, w, 3) RGB or (h, w, 1) luma, 0 to 255.

    Args:
        model: In evaluation mode.
        example: At one of the network's scales.
        precision: The half precision of autocast, or None.
    """
    device = next(model.parameters()).device
    model.scale = example.scale
    if model.channels == 1:
        x = torch.from_numpy(luma(example.lr) / 255).float()[None, None]
    else:
        x = torch.from_numpy(example.lr).permute(2, 0, 1).float()[None] / 255
    x = x.to(device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, precision, enabled=precision is not None):
        sr = model(x).float()
    values: NDArray[np.float32] = (sr[0].clamp(0, 1) * 255).permute(1, 2, 0).cpu().numpy()
    return values


def validation_figure(
    model: SRModel,
    examples: Sequence[Example],
    precision: torch.dtype | None,
    lpips: LPIPS | None = None,
) -> float:
    """The mean figure over the examples.

    Args:
        model: In evaluation mode.
        examples: Images with their lr.
        precision: The half precision of autocast, or None.
        lpips: Its network, for LPIPS; None for PSNR-Y in dB, without borders of `scale` pixels.
            RGB is rounded to uint8 for both.
    """
    total = 0.0
    for example in examples:
        sr = upscale_example(model, example, precision)
        if lpips is not None:
            total += _lpips_distance(lpips, to_uint8(sr), example.hr)
        elif model.channels == 1:
            total += min(psnr_y(sr[..., 0], luma(example.hr), border=example.scale), 100.0)
        else:
            total += min(psnr_y(to_uint8(sr), example.hr, border=example.scale), 100.0)
    return total / len(examples)


@torch.no_grad()
def _lpips_distance(lpips: LPIPS, sr: Pixels, hr: Pixels) -> float:
    """LPIPS of two images (h, w, 3), on the device of its network."""
    device = next(lpips.parameters()).device
    a, b = (torch.tensor(p, device=device).permute(2, 0, 1)[None].float() / 255 for p in (sr, hr))
    return float(lpips(a, b))


def to_uint8(image: NDArray[Any]) -> Pixels:
    """Values of 0 to 255, rounded half up."""
    return np.floor(image + 0.5).astype(np.uint8)
