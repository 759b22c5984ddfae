"""Optimisers and learning rates by name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from sr_cli.training.recipe import Recipe
from sr_cli.training.soap import SOAP


def make_optimiser(
    recipe: Recipe, network: nn.Module, learning_rate: float
) -> torch.optim.Optimizer:
    """The recipe's optimiser over the network's parameters."""
    r = recipe
    betas = (r.momentum, r.second_momentum)
    parameters = _groups(network, r.last_layer_rate)
    if r.optimiser == "soap":
        return SOAP(parameters, lr=learning_rate, betas=betas)
    if r.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=learning_rate, momentum=r.momentum, weight_decay=r.weight_decay
        )
    kind = torch.optim.AdamW if r.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=learning_rate, betas=betas, weight_decay=r.weight_decay)


def _groups(network: nn.Module, last_layer_rate: float) -> list[dict[str, Any]]:
    """All parameters; those of the last layer apart where they learn at another rate."""
    if last_layer_rate == 1:
        return [{"params": list(network.parameters())}]
    named = dict(network.named_parameters())
    last = list(named)[-1].rpartition(".")[0]
    return [
        {"params": [p for n, p in named.items() if n.rpartition(".")[0] != last]},
        {
            "params": [p for n, p in named.items() if n.rpartition(".")[0] == last],
            "rate": last_layer_rate,
        },
    ]


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """For every group of parameters, at its own share of the rate."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group.get("rate", 1.0)


def learning_rate_factor(recipe: Recipe, done: float, step: int) -> float:
    """What the learning rate is multiplied by when the share `done` (0 to 1) of the run is over.

    `done` counts steps, epochs or time, whichever limits the run: it always ends decayed.
    """
    r, done = recipe, min(1.0, max(0.0, done))
    rise = min(1.0, (step + 1) / r.warmup) if r.warmup else 1.0
    if r.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * done))
    if r.schedule == "step":
        return float(rise * r.gamma ** math.floor(done / r.step_share + 1e-9))
    if r.schedule == "exponential":
        return float(rise * r.gamma ** (done / r.step_share))
    if r.schedule == "multistep":
        return float(rise * r.gamma ** sum(done >= m for m in r.milestones))
    return rise
