"""What a probe finds about a network on this machine, as data that is remembered."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch

from sr_cli.engine.device import DTYPE_NAMES, machine_key
from sr_cli.engine.tiling_probe import TileNeeds
from sr_cli.registry.foreign import Needs

_FORMAT = 2
"""Raised when what is measured changes, so that older measurements are not read."""

_HALF_PSNR = 50.0
_HALF_WORST = 8.0
_FASTER = 0.9
"""The share of the time in float32 below which half precision is worth its rounding."""


class HalfPrecision(msgspec.Struct, frozen=True):
    """A half precision against float32 on the test image.

    Attributes:
        precision: `bf16` or `fp16`.
        psnr: Of the results clipped to [0, 1], in dB; None if the network does not run in it.
        worst: The largest difference in levels of 255; None as `psnr`.
        time: The share of the time in float32; None as `psnr`.
    """

    precision: str
    psnr: float | None = None
    worst: float | None = None
    time: float | None = None

    @property
    def is_safe(self) -> bool:
        """Whether it agrees with float32 to 50 dB and 8 levels."""
        return (
            self.psnr is not None
            and self.worst is not None
            and self.psnr >= _HALF_PSNR
            and self.worst <= _HALF_WORST
        )

    @property
    def is_used(self) -> bool:
        """Whether it is safe and faster."""
        return self.is_safe and self.time is not None and self.time <= _FASTER


class Findings(msgspec.Struct, frozen=True):
    """What a probe found about a network with its weights on this machine.

    Attributes:
        least: The smallest side of an input, in lr pixels.
        multiple: Of which the sides of an input must be multiples.
        square: Whether inputs must be squares.
        fresh: Whether every call needs a fresh copy.
        channels_last: Whether it works in channels_last and is no slower so.
        tiles: What its tiles need; None for networks of sr, which declare it.
        half: The fastest half precision of this machine; None where that is float32.
    """

    least: int
    multiple: int
    square: bool
    fresh: bool
    channels_last: bool
    tiles: TileNeeds | None = None
    half: HalfPrecision | None = None

    @property
    def needs(self) -> Needs:
        """The part that the network is called by."""
        return Needs(self.least, self.multiple, self.square, self.fresh, self.channels_last)


@dataclass(frozen=True)
class Place:
    """Where a network runs: the device, and the dtype that is fastest on it."""

    device: torch.device
    dtype: torch.dtype

    @property
    def key(self) -> str:
        """What measurements depend on, apart from the file."""
        device = self.device.type
        if device == "cuda":
            device = torch.cuda.get_device_name(self.device)
        return f"{device} {DTYPE_NAMES[self.dtype]} {machine_key()} {_FORMAT}"
