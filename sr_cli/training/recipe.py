"""Recipes: everything that decides how a network is trained, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from sr_cli.engine.options import PRECISION_NAMES
from sr_cli.errors import RefusedError
from sr_cli.imaging.degradation import DEGRADATIONS, Photo
from sr_cli.networks import SCALES, model_names

OPTIMISERS = ("adam", "adamw", "sgd", "soap")
SCHEDULES = ("cosine", "step", "multistep", "exponential", "constant")
LOSSES = (
    *("l1", "l2", "charbonnier"),
    *("perceptual", "texture", "lpips"),
    *("adversarial", "teacher"),
)
ADVERSARIES = ("vanilla", "relativistic")

_CHOICES = {
    "optimiser": OPTIMISERS,
    "schedule": SCHEDULES,
    "degradation": DEGRADATIONS,
    "adversary": ADVERSARIES,
    "precision": ("auto", *PRECISION_NAMES),
    "perceptual_network": ("vgg16", "vgg19"),
}


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is made; saved in its header, so that it can be made again.

    model, scales, config: the network; several scales only for one set of weights (VDSR).
    degradation: how lr is made of hr: `bicubic`, `noise` (with a sigma from noise_sigma, in 8-bit
        steps) or `photo` (whose ranges are in `photo`).
    lr_patch: side of a training crop in lr pixels, of the largest scale where there are several
        (the others' crops are as large in hr); batch: crops a step, over all processes.
    flips, turns, rescale (range of a factor on hr), colour_jitter (largest change of brightness,
        contrast and saturation, as a share): augmentation.
    flat_share: share of crops replaced by one flat colour, so that walls stay flat.
    losses: weights of `l1`, `l2`, `charbonnier`, `perceptual`, `texture`, `lpips` (VGG16's),
        `adversarial` and `teacher` (l1 to the teacher's picture), summed.
    adversary: `vanilla` (SRGAN) or `relativistic` (ESRGAN).
    perceptual_network, _layer, _activated: VGG's features, `conv5_4` after its activation.
    teacher: a model whose pictures the network also learns from.
    optimiser, learning_rate, momentum and second_momentum (Adam's betas; SGD has the first),
        weight_decay, clip (of the gradient's norm, 0: none); the network's last layer learns at
        `last_layer_rate` times the rate.
    schedule of the learning rate over the whole run: `cosine` to 0, `step` and `exponential` (by
        `gamma` every `step_share` of the run), `multistep` (by `gamma` at `milestones`, shares of
        the run), `constant`; after `warmup` steps of linear rise.
    ema: decay of the running mean of the weights, which is what gets saved.
    precision: `auto` computes in bf16 or fp16 where the machine is faster so.
    rounded_weights: weights that bfloat16 holds exactly, so that half precision rounds no weight.
    frozen_normalisation: batch normalisations keep the statistics that they begin with (`--init`),
        as in inference: those of a batch are noise to a network that is nearly done.
    steps: how long, unless a time limit or epochs are given. patience: stop after so many
        validations without a better figure (0: never).
    """

    model: str
    scales: tuple[int, ...]
    config: dict[str, Any] = field(default_factory=dict)
    degradation: str = "bicubic"
    noise_sigma: tuple[float, float] = (0.0, 25.0)
    photo: Photo = field(default_factory=Photo)
    lr_patch: int = 48
    batch: int = 16
    flips: bool = True
    turns: bool = True
    rescale: tuple[float, float] = (1.0, 1.0)
    colour_jitter: float = 0.0
    flat_share: float = 0.0
    losses: dict[str, float] = field(default_factory=lambda: {"l1": 1.0})
    adversary: str = "vanilla"
    perceptual_network: str = "vgg19"
    perceptual_layer: str = "conv5_4"
    perceptual_activated: bool = True
    teacher: str = ""
    optimiser: str = "adam"
    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    last_layer_rate: float = 1.0
    momentum: float = 0.9
    second_momentum: float = 0.999
    weight_decay: float = 0.0
    clip: float = 0.0
    schedule: str = "cosine"
    warmup: int = 0
    gamma: float = 0.5
    step_share: float = 0.2
    milestones: tuple[float, ...] = (0.5, 0.8, 0.9)
    ema: float = 0.999
    precision: str = "auto"
    rounded_weights: bool = False
    frozen_normalisation: bool = False
    steps: int = 100_000
    patience: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises RefusedError for values that make no sense, and unknown names with the known."""
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                raise RefusedError(f"{name} {value}: must be a finite number")
        for name, weight in self.losses.items():
            if not math.isfinite(weight):
                raise RefusedError(f"losses.{name} {weight}: must be a finite number")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise RefusedError(
                    f"{name} '{getattr(self, name)}' is unknown", f"known: {', '.join(known)}"
                )
        if self.model not in model_names() or self.model == "bicubic":
            known_models = ", ".join(n for n in model_names() if n != "bicubic")
            raise RefusedError(f"no network '{self.model}'", f"known: {known_models}")
        for scale in self.scales:
            if scale not in SCALES:
                has = ", ".join(f"x{s}" for s in SCALES)
                raise RefusedError(f"{self.model} has no x{scale}", f"it has {has}")
        if not self.scales:
            raise RefusedError("no scale to train for", "-x 4")
        if unknown := sorted(set(self.losses) - set(LOSSES)):
            raise RefusedError(f"no loss '{unknown[0]}'", f"known: {', '.join(LOSSES)}")
        if not self.losses or any(weight <= 0 for weight in self.losses.values()):
            raise RefusedError("losses need weights above 0")
        if "teacher" in self.losses and not self.teacher:
            raise RefusedError("the loss 'teacher' needs a teacher", "--teacher MODEL")
        for name in (
            "lr_patch",
            "batch",
            "learning_rate",
            "discriminator_learning_rate",
            "last_layer_rate",
            "steps",
        ):
            if getattr(self, name) <= 0:
                raise RefusedError(f"{name} {getattr(self, name)}: must be above 0")
        for name in ("ema", "momentum", "second_momentum", "flat_share", "colour_jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise RefusedError(f"{name} {getattr(self, name)}: must be from 0 to below 1")
        for name in ("warmup", "clip", "weight_decay", "patience", "seed"):
            if getattr(self, name) < 0:
                raise RefusedError(f"{name} {getattr(self, name)}: must not be negative")
        if self.seed >= 2**63:
            raise RefusedError(f"seed {self.seed}: must be below 2^63")
        for name, low, high in (("noise_sigma", *self.noise_sigma), ("rescale", *self.rescale)):
            if not 0 <= low <= high:
                raise RefusedError(f"{name}: a range from low to high is needed")
        if self.rescale[0] <= 0 or self.rescale[1] > 4:
            raise RefusedError("rescale: factors above 0, at most 4")
        if not 0 < self.gamma <= 1 or not 0 < self.step_share <= 1:
            raise RefusedError("gamma and step_share: must be above 0, at most 1")
        if list(self.milestones) != sorted(self.milestones) or not all(
            0 < m < 1 for m in self.milestones
        ):
            raise RefusedError("milestones: shares of the run between 0 and 1, in order")
        if "scale" in self.config:
            raise RefusedError("config.scale: the scale is given by scales", "-x 4")

    def lr_side(self, scale: int) -> int:
        """Side of a crop in lr pixels at one of the scales."""
        return self.lr_patch * max(self.scales) // scale

    @property
    def is_adversarial(self) -> bool:
        return "adversarial" in self.losses

    @property
    def id(self) -> str:
        """The name of what is trained, for instance `edsr-x4`."""
        return f"{self.model}-x{self.scales[0]}" if len(self.scales) == 1 else self.model


def differences(a: Recipe, b: Recipe) -> list[str]:
    """Names of the fields in which two recipes differ."""
    return [f.name for f in fields(Recipe) if getattr(a, f.name) != getattr(b, f.name)]
