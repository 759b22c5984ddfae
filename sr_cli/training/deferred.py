"""Steps that are judged and counted on the device, and read only now and then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

READ_EVERY = 25
"""Steps from one reading to the next: each makes the device run dry."""


@dataclass(frozen=True)
class Reading:
    """What became of the steps so far; losses are means since the reading before."""

    losses: dict[str, float]
    skipped: int
    bad_in_a_row: int
    usual_loss: float


class DeferredChecks:
    """Judges steps and sums up losses without waiting for the device.

    On a graphics card every number that is read waits for all work before it, and the card then
    for new work. So a step is judged where it was computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.skipped = torch.zeros((), device=device)
        self.bad_in_a_row = torch.zeros((), device=device)
        self.usual_loss = torch.zeros((), device=device)
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def is_good(self, loss: Tensor, norm: Tensor, limit: float | None) -> Tensor:
        """Whether a step is good, as a tensor: finite, and not beyond `limit` usual losses."""
        good = torch.isfinite(loss) & torch.isfinite(norm)
        if limit is not None:
            good &= (loss <= limit * self.usual_loss) | (self.usual_loss == 0)
        return good

    def count(self, good: Tensor) -> None:
        """Count a step that was judged."""
        bad = (~good).float()
        self.skipped += bad
        self.bad_in_a_row += bad

    def update_usual_loss(self, good: Tensor, loss: Tensor) -> None:
        """Let a good step of the network end a row of bad ones and move the usual loss."""
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
        """Wait for the device, and start new means."""
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
    """A fused optimiser's step where `good` is true; otherwise it changes nothing.

    The flag is the one with which GradScaler tells fused optimisers of gradients that overflowed.
    """
    # torch declares the flag on no optimiser.
    optimiser.found_inf = (~good).float()  # type: ignore[attr-defined]
    optimiser.step()
