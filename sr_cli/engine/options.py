"""Options of the engine. Does not import torch, so that usage errors are reported quickly."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sr_cli.errors import RefusedError
from sr_cli.system.types import check_types

PRECISION_NAMES = ("fp32", "bf16", "fp16")
OPENVINO = "openvino"
"""The device of ONNX files that run in OpenVINO, on the CPU."""

WRAPS = ("none", "x", "y", "both")
MAX_THREADS = 1024


@dataclass(frozen=True)
class Adaptation:
    """How long a network is tuned to an image: a number of steps, or a time.

    Attributes:
        steps: Of the optimiser; None for a time.
        seconds: The time; None for a number of steps.
    """

    steps: int | None = None
    seconds: float | None = None

    def check(self) -> None:
        """Check that there is one value, above 0.

        Raises:
            RefusedError: `invalid-request`, `missing-option`, `conflicting-options` or
                `out-of-range`.
        """
        check_types(self, "adapt.")
        if self.steps is None and self.seconds is None:
            raise RefusedError("missing-option", "adapt", example="--adapt 60s")
        if self.steps is not None and self.seconds is not None:
            raise RefusedError("conflicting-options", "adapt in steps", other="a time")
        check_at_least_one(adapt=self.steps)
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise RefusedError("out-of-range", "adapt", value=self.seconds, allowed="above 0")

    def share(self, steps: int, seconds: float) -> float:
        """The share that is spent, 0 to 1."""
        spent = steps / self.steps if self.steps else seconds / (self.seconds or seconds)
        return min(1.0, spent)


@dataclass(frozen=True)
class EngineOptions:
    """How images are computed.

    Attributes:
        device: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`, or `openvino` for ONNX files.
        threads: CPU threads; None for all cores.
        precision: `auto` (the fastest safe one), `fp32`, `bf16` or `fp16`.
        tile: Side of a tile in lr pixels; 0 for the whole image at once; None to choose it from
            the free memory.
        tta: Average the results of eight flips and rotations (EDSR, section 3.4).
        wrap: `x`, `y` or `both` for images that continue at their other end, such as textures and
            panoramas, or `none`.
        consistent: Project each result onto what gives back its input when it is reduced.
    """

    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"
    tile: int | None = None
    tta: bool = False
    wrap: str = "none"
    consistent: bool = False

    def check(self) -> None:
        """Check the values without importing torch.

        Raises:
            RefusedError: `unknown-value` or `out-of-range`.
        """
        for name in ("device", "precision", "wrap"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise RefusedError("wrong-type", name, value=repr(value), wanted="a string")
        check_precision(self.precision)
        if not re.fullmatch(r"auto|cpu|mps|openvino|cuda(:\d+)?", self.device):
            raise RefusedError(
                "unknown-value",
                "device",
                value=self.device,
                known=["auto", "cpu", "cuda", "cuda:N", "mps", OPENVINO],
            )
        if self.wrap not in WRAPS:
            raise RefusedError("unknown-value", "wrap", value=self.wrap, known=WRAPS)
        if self.tile is not None and self.tile < 0:
            raise RefusedError("out-of-range", "tile", value=self.tile, allowed="0 or more")
        check_at_least_one(threads=self.threads)
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
    """Check that all values are None or at least 1.

    Raises:
        RefusedError: `out-of-range`, with the name of the value as its subject.
    """
    for name, value in values.items():
        if value is not None and value < 1:
            raise RefusedError(
                "out-of-range", name.replace("_", "-"), value=value, allowed="at least 1"
            )
