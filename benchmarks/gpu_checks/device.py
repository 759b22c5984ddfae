"""The device, its settings, and its time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Setting:
    """Where and how large.

    Attributes:
        device: The device that is checked.
        small: (height, width) of the image for comparing results.
        sides: Of the small and the large image for speed.
        half: The half precision that the engine takes on the device.
        least: Seconds for which a time is measured.
    """

    device: torch.device
    small: tuple[int, int]
    sides: tuple[int, int]
    half: torch.dtype
    least: float

    @property
    def on_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def precisions(self) -> list[str]:
        return ["fp32", "fp16", "bf16"] if self.on_cuda else ["fp32", "bf16"]


def choose_setting(device: str, *, tiny: bool) -> Setting:
    """The setting for `cuda` or `cpu`; `tiny` is for trying the script."""
    return Setting(
        torch.device(device),
        small=(40, 72) if tiny else (120, 168),
        sides=(32, 64) if tiny else (512, 2048),
        half=torch.float16 if device == "cuda" else torch.bfloat16,
        least=0.05 if tiny else 0.3,
    )


def release() -> None:
    """The device and PyTorch's settings as at the start."""
    tf32(True)
    torch.backends.cudnn.benchmark = False
    if torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def tf32(on: bool) -> None:
    torch.backends.cudnn.allow_tf32 = on


def median_wall(run: Callable[[], Any], where: Setting) -> float:
    """Median seconds on the host's clock, the device waited for."""
    run()
    wait(where.device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < where.least and len(times) < 50):
        began = time.perf_counter()
        run()
        wait(where.device)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def median_device(run: Callable[[], Any], where: Setting) -> float:
    """Median seconds between two events on the device."""
    if not where.on_cuda:
        return median_wall(run, where)
    run()
    wait(where.device)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < where.least and len(times) < 50):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        run()
        last.record()
        last.synchronize()
        times.append(first.elapsed_time(last) / 1e3)
    return statistics.median(times)
