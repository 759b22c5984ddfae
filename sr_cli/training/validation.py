"""Validation: the figure that selects the best weights, on held-back images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_cli.evaluation.dists import DISTS
from sr_cli.evaluation.lpips import LPIPS
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.imaging.colour import luma
from sr_cli.imaging.degrade import degrade
from sr_cli.networks.base import SRModel
from sr_cli.training.images import Pair, Pixels
from sr_cli.training.recipe import Recipe

MAX_EXAMPLES = 16
"""The most validation images, to keep validation short."""

_SIDE = 480
"""The largest side of the crop of an image, in hr pixels."""

_MAX_VALIDATIONS = 40
_MIN_STEPS, _MIN_SECONDS = 100, 20.0
"""The least steps or seconds between validations."""

_SHARE = 0.1
"""The largest share of a run's time for validation."""

_PASSES = 3
"""The cost of a training step in evaluations: one forward, two for backward."""


@dataclass(frozen=True)
class ValidationMetric:
    """A metric for validation: its name, its format, and whether higher is better."""

    name: str
    unit: str
    digits: int
    higher_is_better: bool

    def is_better(self, figure: float, best: float) -> bool:
        """Whether a figure is better than the best so far; -inf if there is none yet."""
        if best == -math.inf:
            return True
        return figure > best if self.higher_is_better else figure < best


FIGURES = {
    "psnr": ValidationMetric("PSNR-Y", " dB", 2, higher_is_better=True),
    "lpips": ValidationMetric("LPIPS", "", 4, higher_is_better=False),
    "dists": ValidationMetric("DISTS", "", 4, higher_is_better=False),
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
    """Crop and degrade the centres of up to MAX_EXAMPLES images, for every scale."""
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
    """The steps between validations, so that these take at most a tenth of the time.

    Estimated from pixels, not seconds, so that a run keeps the same weights on any machine.

    Args:
        recipe: Batch and crops.
        examples: The validation images.
        steps: The length of the run.
    """
    evaluated: int = sum(e.hr.shape[0] * e.hr.shape[1] for e in examples)
    trained = _PASSES * recipe.batch * (recipe.lr_patch * max(recipe.scales)) ** 2
    return max(_MIN_STEPS, steps // _MAX_VALIDATIONS, math.ceil(evaluated / trained / _SHARE))


def validation_interval_seconds(limit: float, took: float) -> float:
    """The seconds between validations, for a time limit and the duration of the last one."""
    return max(_MIN_SECONDS, limit / _MAX_VALIDATIONS, took / _SHARE)


@torch.no_grad()
def upscale_example(
    model: SRModel, example: Example, precision: torch.dtype | None
) -> NDArray[np.float32]:
    """Upscale an example to (h, w, 3) RGB or (h, w, 1) luma, 0 to 255.

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
    judge: LPIPS | DISTS | None = None,
) -> float:
    """The mean figure over the examples.

    Args:
        model: In evaluation mode.
        examples: Images with their lr.
        precision: The half precision of autocast, or None.
        judge: The network of a perceptual distance; None for PSNR-Y in dB, without borders of
            `scale` pixels. RGB is rounded to uint8 for both.
    """
    total = 0.0
    for example in examples:
        sr = upscale_example(model, example, precision)
        if judge is not None:
            total += _distance(judge, to_uint8(sr), example.hr)
        elif model.channels == 1:
            total += min(psnr_y(sr[..., 0], luma(example.hr), border=example.scale), 100.0)
        else:
            total += min(psnr_y(to_uint8(sr), example.hr, border=example.scale), 100.0)
    return total / len(examples)


@torch.no_grad()
def _distance(judge: LPIPS | DISTS, sr: Pixels, hr: Pixels) -> float:
    """The distance of two images (h, w, 3), on the device of its network."""
    device = next(judge.parameters()).device
    a, b = (torch.tensor(p, device=device).permute(2, 0, 1)[None].float() / 255 for p in (sr, hr))
    return float(judge(a, b))


def to_uint8(image: NDArray[Any]) -> Pixels:
    """Round values of 0 to 255 half up."""
    return np.floor(image + 0.5).astype(np.uint8)
