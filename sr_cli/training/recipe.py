"""Recipes: everything that decides how a network is trained, as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True)
class Recipe:
    """How one checkpoint is made; saved in its header, so that it can be made again.

    model, scales, config: the network; several scales only for one set of weights (VDSR).
    lr_patch: side of a training crop in lr pixels; batch: crops a step.
    losses: weights of `l1`, `l2`, `charbonnier`, `perceptual`, `adversarial`, summed.
    learning_rate decays by `schedule` over the whole run, after `warmup` steps of linear rise.
    ema: decay of the running mean of the weights, which is what gets saved.
    flat_share: share of crops replaced by one flat colour, so that walls stay flat.
    perceptual_layer: torchvision's `features` index after whose activation VGG is compared.
    """

    model: str
    scales: tuple[int, ...]
    config: dict[str, Any] = field(default_factory=dict)
    lr_patch: int = 48
    batch: int = 16
    losses: dict[str, float] = field(default_factory=lambda: {"l1": 1.0})
    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: str = "cosine"
    warmup: int = 100
    ema: float = 0.999
    clip: float = 0.0
    flat_share: float = 0.02
    perceptual_network: str = "vgg16"
    perceptual_layer: int = 29
    seed: int = 0

    def with_fields(self, **fields: Any) -> Recipe:
        """A copy with some fields changed."""
        return replace(self, **fields)


_LUMA = {"lr_patch": 32, "batch": 32, "learning_rate": 1e-3}

DEFAULTS: dict[str, dict[str, Any]] = {
    "srcnn": _LUMA | {"losses": {"l2": 1.0}},
    "fsrcnn": _LUMA | {"losses": {"l2": 1.0}},
    "espcn": _LUMA | {"losses": {"l2": 1.0}},
    "vdsr": {"lr_patch": 24, "batch": 32, "learning_rate": 5e-4, "losses": {"l2": 1.0}},
    "srresnet": {"learning_rate": 4e-4, "losses": {"l1": 1.0}},
    "srgan": {
        "lr_patch": 24,
        "losses": {"perceptual": 1.0, "adversarial": 1e-3},
        "learning_rate": 1e-4,
    },
    "edsr": {"learning_rate": 4e-4},
    "rcan": {"learning_rate": 2e-4},
}
"""What each network's recipe has different from the general one."""


def default_recipe(model: str, scales: tuple[int, ...], **fields: Any) -> Recipe:
    """The recipe of a network, with `fields` changed."""
    return Recipe(model=model, scales=scales, **(DEFAULTS.get(model, {}) | fields))
