"""The papers' own choices, one frozen recipe per network: the defaults of `sr train`.

SRCNN, FSRCNN and VDSR were trained by SGD on losses summed over a crop; ours are means, so the
weight of `l2` is the crop's pixels (VDSR: half of them). SRCNN and FSRCNN take a tenth of that: our
networks start as an interpolation, where the papers' rates diverge. The averaged weights are ours.
The recipes that the shipped weights were made with lie in `recipes/`: they need minutes to hours
where the papers took days.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from sr_cli.training.recipe import Recipe


@dataclass(frozen=True)
class SRCNN(Recipe):
    """Dong et al., TPAMI 2016, sections 3.3 and 4.1: equation 4, SGD, the last layer at a tenth."""

    lr_patch: int = 11
    batch: int = 128
    flips: bool = False
    turns: bool = False
    losses: dict[str, float] = field(default_factory=lambda: {"l2": 33.0**2 / 10})
    optimiser: str = "sgd"
    last_layer_rate: float = 0.1
    schedule: str = "constant"
    precision: str = "fp32"
    steps: int = 6_250_000


@dataclass(frozen=True)
class FSRCNN(Recipe):
    """Dong et al., ECCV 2016, sections 3.4 and 4.1: equation 4, SGD, rescaled and turned pictures.

    The deconvolution learns at a tenth of the rate.
    """

    lr_patch: int = 7
    batch: int = 128
    flips: bool = False
    rescale: tuple[float, float] = (0.6, 1.0)
    losses: dict[str, float] = field(default_factory=lambda: {"l2": 21.0**2 / 10})
    optimiser: str = "sgd"
    learning_rate: float = 1e-3
    last_layer_rate: float = 0.1
    schedule: str = "constant"
    precision: str = "fp32"
    steps: int = 1_000_000


@dataclass(frozen=True)
class ESPCN(Recipe):
    """Shi et al., CVPR 2016, section 3.2: 17x17 crops, equation 6, a rate from 0.01 to 0.0001.

    The paper names no optimiser and lowers the rate where the cost stands still. The rise to 0.01
    is ours: Adam's first steps would undo the start.
    """

    lr_patch: int = 17
    flips: bool = False
    turns: bool = False
    losses: dict[str, float] = field(default_factory=lambda: {"l2": 1.0})
    learning_rate: float = 1e-2
    schedule: str = "exponential"
    gamma: float = 0.01
    step_share: float = 1.0
    warmup: int = 100
    precision: str = "fp32"


@dataclass(frozen=True)
class VDSR(Recipe):
    """Kim et al., CVPR 2016, sections 4.2 and 5.2: 41x41 crops, batch 64, clipped SGD from 0.1.

    The rate is divided by 10 after each quarter of the run. Crops are as large as the paper's where
    x4 is among the scales; x2 alone takes a larger lr_patch.
    """

    lr_patch: int = 11
    batch: int = 64
    losses: dict[str, float] = field(default_factory=lambda: {"l2": 41.0**2 / 2})
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 1e-4
    clip: float = 0.4
    schedule: str = "step"
    gamma: float = 0.1
    step_share: float = 0.25


@dataclass(frozen=True)
class SRResNet(Recipe):
    """Ledig et al., CVPR 2017, section 3.2: 96x96 crops of hr, MSE, Adam, 10^6 updates."""

    lr_patch: int = 24
    losses: dict[str, float] = field(default_factory=lambda: {"l2": 1.0})
    schedule: str = "constant"
    steps: int = 1_000_000


@dataclass(frozen=True)
class SRGAN(Recipe):
    """Ledig et al., CVPR 2017, sections 2.2 and 3.2: equation 3, 10^5 updates at 1e-4 and at 1e-5.

    The generator starts as a trained SRResNet (`--init`).
    """

    lr_patch: int = 24
    losses: dict[str, float] = field(
        default_factory=lambda: {"perceptual": 1.0, "adversarial": 1e-3}
    )
    schedule: str = "step"
    gamma: float = 0.1
    step_share: float = 0.5
    steps: int = 200_000


@dataclass(frozen=True)
class EDSR(Recipe):
    """Lim et al., CVPRW 2017, section 4.2: 48x48 of lr, L1, Adam, halved at 2*10^5 updates."""

    schedule: str = "step"
    step_share: float = 2 / 3
    steps: int = 300_000


@dataclass(frozen=True)
class RCAN(Recipe):
    """Zhang et al., ECCV 2018, section 4.1: as EDSR, halved at every 2*10^5 updates."""

    schedule: str = "step"
    steps: int = 1_000_000


_RECIPES: dict[str, type[Recipe]] = {
    kind.__name__.lower(): kind
    for kind in (SRCNN, FSRCNN, ESPCN, VDSR, SRResNet, SRGAN, EDSR, RCAN)
}


def default_recipe(model: str, scales: tuple[int, ...], **changes: Any) -> Recipe:
    """The recipe of a network's paper, with some fields changed. Raises as Recipe does.

    A plain Recipe, which equals the same one read from a file.
    """
    own = _RECIPES.get(model, Recipe)(model=model, scales=scales, **changes)
    return Recipe(**{f.name: getattr(own, f.name) for f in fields(Recipe)})
