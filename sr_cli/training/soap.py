"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

_WARMING = 1e-12


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

    # torch has overloads for closures, which this optimiser takes none of.
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients; the first one only measures them."""
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
            self._measure_first(state, gradient, parameter.dim() > 1, group["max_side"])
            return
        first, second = group["betas"]
        state["step"] += 1
        turned = _turn(gradient, state)
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].mul_(second).addcmul_(turned, turned, value=1 - second)
        size = group["lr"] * (1 - second ** state["step"]) ** 0.5 / (1 - first ** state["step"])
        change = _turn_back(
            _turn(state["mean"], state) / (state["square"].sqrt() + group["eps"]), state
        )
        parameter.add_(change.reshape(parameter.shape).to(parameter.dtype), alpha=-size)
        for side, moment in _moments(gradient):
            if side in state:
                state[side].lerp_(moment, 1 - second)
        if state["step"] % group["every"] == 0:
            for dim, side in enumerate(("left", "right")):
                if side in state:
                    _follow(state, side, dim)

    def _measure_first(
        self, state: dict[str, Any], gradient: Tensor, matrix: bool, max_side: int
    ) -> None:
        state["step"] = 0
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
        for side, moment in _moments(gradient):
            if matrix and 1 < len(moment) <= max_side:
                state[side] = moment
                lifted = moment + _WARMING * torch.eye(len(moment), device=moment.device)
                state[side + "_basis"] = torch.linalg.eigh(lifted)[1].flip(1)


def _moments(gradient: Tensor) -> tuple[tuple[str, Tensor], tuple[str, Tensor]]:
    return ("left", gradient @ gradient.T), ("right", gradient.T @ gradient)


def _turn(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    """Into the coordinates of the two bases."""
    if "left" in state:
        matrix = state["left_basis"].T @ matrix
    return matrix @ state["right_basis"] if "right" in state else matrix


def _turn_back(matrix: Tensor, state: dict[str, Any]) -> Tensor:
    if "left" in state:
        matrix = state["left_basis"] @ matrix
    return matrix @ state["right_basis"].T if "right" in state else matrix


def _follow(state: dict[str, Any], side: str, dim: int) -> None:
    """One step of orthogonal iteration towards the present eigenvectors, largest first."""
    moment, basis = state[side], state[side + "_basis"]
    order = (basis.T @ moment @ basis).diagonal().argsort(descending=True)
    state["square"] = state["square"].index_select(dim, order)
    state[side + "_basis"] = torch.linalg.qr(moment @ basis[:, order])[0]
