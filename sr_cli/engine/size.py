"""The size of a result, and the passes of a network that reach it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_FACTOR = 16.0
"""The largest supported factor."""


@dataclass(frozen=True)
class Size:
    """The size of a result.

    Attributes:
        factor: The factor for both sides; None if `width` or `height` is given.
        width: The largest width, in pixels.
        height: The largest height, in pixels.
        max_side: The largest side, in pixels, applied in addition.
    """

    factor: float | None = None
    width: int | None = None
    height: int | None = None
    max_side: int | None = None

    def factor_for(self, width: int, height: int) -> float:
        """The factor for an image of this size in pixels; below 1 if it is downscaled."""
        factor = self.factor
        if factor is None:
            factor = min(b / side for b, side in ((self.width, width), (self.height, height)) if b)
        if self.max_side is not None:
            factor = min(factor, self.max_side / max(width, height))
        return factor

    def of(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the result for an image of this size in pixels; at least 1x1."""
        factor = self.factor_for(width, height)
        return max(1, round(width * factor)), max(1, round(height * factor))


def passes_for(factor: float, scale: int, *, once: bool = False) -> int:
    """How often a network of `scale` is applied for `factor`.

    Args:
        factor: Of the result.
        scale: Of the network.
        once: Whether it is applied once, whatever the factor is.
    """
    passes, reached = 1, scale
    while reached < factor - 1e-9 and not once:
        passes, reached = passes + 1, reached * scale
    return passes


def best_scale(factor: float, scales: Sequence[int]) -> int:
    """The smallest scale that reaches `factor`, else the largest, to be applied several times."""
    return min((s for s in scales if s >= factor - 1e-9), default=max(scales))
