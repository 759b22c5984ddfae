"""The papers' own choices, one table for each network: the defaults of `sr train`.

SRCNN, FSRCNN and VDSR were trained by SGD on losses summed over a crop; ours are means, so the
weight of `l2` is the crop's pixels (VDSR: half of them). SRCNN and FSRCNN take a tenth of that: our
networks start as an interpolation, where the papers' rates diverge. The averaged weights are ours.
The recipes that the shipped weights were made with are in `recipes/`: they need minutes to hours
where the papers took days.
"""

from __future__ import annotations

from typing import Any

from sr_cli.training.recipe import Recipe

PAPERS: dict[str, dict[str, Any]] = {
    # Dong et al., TPAMI 2016, sections 3.3 and 4.1: equation 4, SGD, the last layer at a tenth.
    "srcnn": {
        "lr_patch": 11,
        "batch": 128,
        "flips": False,
        "turns": False,
        "losses": {"l2": 33.0**2 / 10},
        "optimiser": "sgd",
        "last_layer_rate": 0.1,
        "schedule": "constant",
        "precision": "fp32",
        "steps": 6_250_000,
    },
    # Dong et al., ECCV 2016, sections 3.4 and 4.1: equation 4, SGD, images rescaled and rotated,
    # the deconvolution at a tenth of the rate.
    "fsrcnn": {
        "lr_patch": 7,
        "batch": 128,
        "flips": False,
        "rescale": (0.6, 1.0),
        "losses": {"l2": 21.0**2 / 10},
        "optimiser": "sgd",
        "learning_rate": 1e-3,
        "last_layer_rate": 0.1,
        "schedule": "constant",
        "precision": "fp32",
        "steps": 1_000_000,
    },
    # Shi et al., CVPR 2016, section 3.2: 17x17 crops, equation 6, a rate from 0.01 to 0.0001. The
    # paper names no optimiser and lowers the rate where the cost stands still. The rise to 0.01 is
    # ours: Adam's first steps would undo the initial weights.
    "espcn": {
        "lr_patch": 17,
        "flips": False,
        "turns": False,
        "losses": {"l2": 1.0},
        "learning_rate": 1e-2,
        "schedule": "exponential",
        "gamma": 0.01,
        "step_share": 1.0,
        "warmup": 100,
        "precision": "fp32",
    },
    # Kim et al., CVPR 2016, sections 4.2 and 5.2: 41x41 crops, batch 64, clipped SGD from 0.1,
    # divided by 10 after each quarter of the run. Crops are as large as the paper's where x4 is
    # among the scales; x2 alone takes a larger lr_patch.
    "vdsr": {
        "lr_patch": 11,
        "batch": 64,
        "losses": {"l2": 41.0**2 / 2},
        "optimiser": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 1e-4,
        "clip": 0.4,
        "schedule": "step",
        "gamma": 0.1,
        "step_share": 0.25,
    },
    # Ledig et al., CVPR 2017, section 3.2: 96x96 crops of hr, MSE, Adam, 10^6 updates.
    "srresnet": {
        "lr_patch": 24,
        "losses": {"l2": 1.0},
        "schedule": "constant",
        "steps": 1_000_000,
    },
    # Ledig et al., CVPR 2017, sections 2.2 and 3.2: equation 3, 10^5 updates at 1e-4 and at 1e-5.
    # The generator starts as a trained SRResNet (`--init`).
    "srgan": {
        "lr_patch": 24,
        "losses": {"perceptual": 1.0, "adversarial": 1e-3},
        "schedule": "step",
        "gamma": 0.1,
        "step_share": 0.5,
        "steps": 200_000,
    },
    # Lim et al., CVPRW 2017, section 4.2: 48x48 of lr, L1, Adam, halved at 2*10^5 updates.
    "edsr": {"schedule": "step", "step_share": 2 / 3, "steps": 300_000},
    # Zhang et al., ECCV 2018, section 4.1: as EDSR, halved at every 2*10^5 updates.
    "rcan": {"schedule": "step", "steps": 1_000_000},
    # Ours.
    "swift": {
        "optimiser": "soap",
        "momentum": 0.95,
        "second_momentum": 0.95,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "warmup": 100,
        "steps": 60_000,
    },
}


def default_recipe(model: str, scales: tuple[int, ...], **changes: Any) -> Recipe:
    """The recipe of a network's paper, with some fields changed.

    Raises:
        RefusedError: As Recipe.
    """
    return Recipe(model=model, scales=scales, **(PAPERS.get(model, {}) | changes))
