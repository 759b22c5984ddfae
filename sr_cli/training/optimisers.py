"""Optimisers, learning rate schedules, and SOAP."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from sr_cli.training.recipe import Recipe

_REGULARISATION = 1e-12


def make_optimiser(
    recipe: Recipe, network: nn.Module, learning_rate: float, *, fused: bool = False
) -> torch.optim.Optimizer:
    """The recipe's optimiser over the network's parameters; `fused` is for Adam and AdamW."""
    r = recipe
    betas = (r.momentum, r.second_momentum)
    parameters = _parameter_groups(network, r.last_layer_rate)
    if r.optimiser == "soap":
        return SOAP(parameters, lr=learning_rate, betas=betas)
    if r.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, lr=learning_rate, momentum=r.momentum, weight_decay=r.weight_decay
        )
    kind = torch.optim.AdamW if r.optimiser == "adamw" else torch.optim.Adam
    return kind(
        parameters, lr=learning_rate, betas=betas, weight_decay=r.weight_decay, fused=fused or None
    )


def _parameter_groups(network: nn.Module, last_layer_rate: float) -> list[dict[str, Any]]:
    """Parameter groups; the last layer is a group of its own if it has another rate."""
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
    """Set the learning rate of every parameter group, times its own factor."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group.get("rate", 1.0)


def learning_rate_factor(recipe: Recipe, done: float, step: int) -> float:
    """The factor of the learning rate at a point of the run.

    Args:
        recipe: Its schedule.
        done: The share of the run that is done, 0 to 1, by steps, epochs or time, depending on
            its limit.
        step: For the warm-up.
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


class SOAP(torch.optim.Optimizer):
    """Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2024, algorithm 3.

    A weight (outputs, ...) is taken as a matrix (outputs, inputs * kernel area). Its gradient's
    second moments on either side (decay `betas[1]`) have eigenvectors, followed by one step of
    orthogonal iteration every `every` steps; Adam runs in these coordinates. Sides longer than
    `max_side` stay as they are, vectors and scalars get plain Adam.

    Small networks, whose layers are badly conditioned, gain most.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        every: int = 10,
        max_side: int = 2048,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "every": every, "max_side": max_side}
        super().__init__(params, defaults)

    # torch has overloads for closures, which this optimiser does not take.
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients; the first one only initialises the moments."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        rows = parameter.shape[0] if parameter.dim() > 1 else parameter.numel()
        gradient = parameter.grad.reshape(rows, -1).float()
        state = self.state[parameter]
        if not state:
            self._initialise(state, gradient, parameter.dim() > 1, group["max_side"])
            return
        first, second = group["betas"]
        state["step"] += 1
        projected = _project(gradient, state)
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].mul_(second).addcmul_(projected, projected, value=1 - second)
        size = group["lr"] * (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
        change = _project_back(
            _project(state["mean"], state) / (state["square"].sqrt() + group["eps"]), state
        )
        parameter.add_(change.reshape(parameter.shape).to(parameter.dtype), alpha=-size)
        for side, moment in _second_moments(gradient):
            if side in state:
                state[side].lerp_(moment, 1 - second)
        if state["step"] % group["every"] == 0:
            for dim, side in enumerate(("left", "right")):
                if side in state:
                    _update_basis(state, side, dim)

    def _initialise(
        self, state: dict[str, Any], gradient: Tensor, matrix: bool, max_side: int
    ) -> None:
        state["step"] = 0
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
        for side, moment in _second_moments(gradient):
            if matrix and 1 < len(moment) <= max_side:
                state[side] = moment
                lifted = moment + _REGULARISATION * torch.eye(len(moment), device=moment.device)
                state[side + "_basis"] = torch.linalg.eigh(lifted)[1].flip(1)


def _second_moments(gradient: Tensor) -> tuple[tuple[str, Tensor], tuple[str, Tensor]]:
    return ("left", gradient @ gradient.T), ("right", gradient.T @ gradient)


def _project(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """Into the coordinates of the two bases."""
    if "left" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right" in state else matrix


def _project_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    if "left" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right" in state else matrix


def _update_basis(state: dict[str, Any], side: str, dim: int) -> None:
    """One step of orthogonal iteration towards the present eigenvectors, largest first."""
    moment, basis = state[side], state[side + "_basis"]
    order = (basis.T @ moment @ basis).diagonal().argsort(descending=True)
    state["square"] = state["square"].index_select(dim, order)
    state[side + "_basis"] = torch.linalg.qr(moment @ basis[:, order])[0]
