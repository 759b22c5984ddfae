"""How to compute, as the caller asks for it. Free of torch: usage errors must not wait for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sr_cli.errors import RefusedError

PRECISION_NAMES = ("fp32", "bf16", "fp16")
MAX_THREADS = 1024


@dataclass(frozen=True)
class EngineOptions:
    """How to compute.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        threads: CPU threads; None for all cores.
        precision: `auto` (the fastest that is safe), `fp32`, `bf16` or `fp16`.
        tile: Side of a tile in lr pixels; None for one that fits the free memory.
        tta: Average the results of the eight flips and turns of an image (EDSR, section 3.4).
    """

    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tile: int | None = None
    tta: bool = False

    def check(self) -> None:
        """Check the values by themselves, before torch is imported.

        Raises:
            RefusedError: `unknown-value` or `out-of-range`.
        """
        check_precision(self.precision)
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise RefusedError(
                "unknown-value",
                "device",
                value=self.device,
                known=["auto", "cpu", "cuda", "cuda:N", "mps"],
            )
        check_at_least_one(tile=self.tile, threads=self.threads)
        if self.threads is not None and self.threads > MAX_THREADS:
            raise RefusedError(
                "out-of-range", "threads", value=self.threads, allowed=f"1 to {MAX_THREADS}"
            )


def check_precision(name: str) -> None:
    """Check that `name` is `auto` or a precision.

    Raises:
        RefusedError: `unknown-value`.
    """
    known = ("auto", *PRECISION_NAMES)
    if name not in known:
        raise RefusedError("unknown-value", "precision", value=name, known=known)


def check_at_least_one(**values: int | None) -> None:
    """Check that values that are given are 1 or more.

    Raises:
        RefusedError: `out-of-range`, with the value's name as its subject.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise RefusedError(
                "out-of-range", name.replace("_", "-"), value=value, allowed="at least 1"
            )
