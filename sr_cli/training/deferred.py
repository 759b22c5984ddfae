"""Checks of training steps on the device, read back only every few steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

READ_EVERY = 25
"""Steps between readings, because each reading makes the device wait."""


@dataclass(frozen=True)
class Reading:
    """The outcome of the steps so far; losses are means since the previous reading."""

    losses: dict[str, float]
    skipped: int
    bad_in_a_row: int
    usual_loss: float


class DeferredChecks:
    """Checks steps and sums up losses without waiting for the device.

    Reading a number from a GPU waits for all pending work, and the GPU then waits for new work.
    Steps are therefore checked on the device.
    """

    def __init__(self, device: torch.device) -> None:
        self.skipped = torch.zeros((), device=device)
        self.bad_in_a_row = torch.zeros((), device=device)
        self.usual_loss = torch.zeros((), device=device)
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def is_good(self, loss: Tensor, norm: Tensor, limit: float | None) -> Tensor:
        """Whether a step is good, as a tensor: finite, and at most `limit` times the usual loss."""
        good = torch.isfinite(loss) & torch.isfinite(norm)
        if limit is not None:
            good &= (loss <= limit * self.usual_loss) | (self.usual_loss == 0)
        return good

    def count(self, good: Tensor) -> None:
        """Count a step that was checked."""
        bad = (~good).float()
        self.skipped += bad
        self.bad_in_a_row += bad

    def update_usual_loss(self, good: Tensor, loss: Tensor) -> None:
        """After a good step, reset the count of consecutive bad steps and update the usual loss."""
        self.bad_in_a_row *= (~good).float()
        share = torch.where(self.usual_loss == 0, 1.0, 0.02)
        moved = self.usual_loss + share * (loss - self.usual_loss)
        self.usual_loss = torch.where(good, moved, self.usual_loss)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Add a step's losses to the mean."""
        for name, loss in losses.items():
            known = self._sums.get(name)
            self._sums[name] = loss.detach() if known is None else known + loss.detach()
        self._steps += 1

    def read(self) -> Reading:
        """Read the counts and means from the device, and start new means."""
        counts = torch.stack([self.skipped, self.bad_in_a_row, self.usual_loss]).tolist()
        names = list(self._sums)
        sums = torch.stack([self._sums[n].float() for n in names]).tolist() if names else []
        means = {n: s / self._steps for n, s in zip(names, sums, strict=True)}
        self._sums, self._steps = {}, 0
        return Reading(means, round(counts[0]), round(counts[1]), counts[2])

    def restore(self, skipped: int, usual_loss: float) -> None:
        """Continue from the counts of a saved state."""
        self.skipped.fill_(skipped)
        self.usual_loss.fill_(usual_loss)


def step_if(optimiser: torch.optim.Optimizer, good: Tensor) -> None:
    """Take a step of a fused optimiser only if `good` is true.

    This is the flag with which GradScaler reports overflowed gradients to fused optimisers.
    """
    # torch declares the flag on no optimiser.
    optimiser.found_inf = (~good).float()  # type: ignore[attr-defined]
    optimiser.step()
