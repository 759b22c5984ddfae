"""What a network costs: parameters, multiply-adds, memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any


def count_parameters(models: Sequence[Any]) -> int:
    """Weights and biases of all networks."""
    return sum(m.count_parameters() for m in models)


def count_multiply_adds(models: Sequence[Any]) -> float:
    """Multiply-adds for each pixel of the result.

    Networks count as their papers have them, ONNX files as they were written.
    """
    return sum(_multiply_adds(m) for m in models)


def _multiply_adds(model: Any, side: int = 32) -> float:
    import torch
    from torch import nn

    from sr_cli.registry.foreign import ForeignModel
    from sr_cli.registry.onnx_model import OnnxModel

    if isinstance(model, OnnxModel):
        return model.graph.multiply_adds / model.scale**2
    pixels: int = (side * model.scale) ** 2
    if isinstance(model, ForeignModel):
        # Their operations, not their layers: attention and functional calls count too. The counter
        # imports Triton where it is installed, which can take seconds.
        from torch.utils.flop_counter import FlopCounterMode

        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, model.channels, side, side))
        return float(counter.get_total_flops() / 2 / pixels)
    # Ours by their layers: the interpolation before SRCNN and VDSR is no part of the network.
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(layer, nn.ConvTranspose2d):
            counts.append(inputs[0].numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Conv2d):
            counts.append(output.numel() * layer.weight[0].numel())
        elif isinstance(layer, nn.Linear):
            counts.append(output.numel() * layer.in_features)

    hooks = [m.register_forward_hook(count) for m in model.modules() if not list(m.children())]
    with torch.inference_mode():
        model(torch.zeros(1, model.channels, side, side))
    for hook in hooks:
        hook.remove()
    return sum(counts) / pixels


class PeakMemory:
    """The most memory in use since this was made: resident, or on CUDA allocated."""

    def __init__(self, device: str = "cpu") -> None:
        self._on_cuda = device.startswith("cuda")
        if self._on_cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        elif sys.platform.startswith("linux"):
            with suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """The peak so far; None if the system does not report it."""
        if self._on_cuda:
            import torch

            return int(torch.cuda.max_memory_allocated())
        with suppress(OSError, StopIteration, ValueError):
            lines = Path("/proc/self/status").read_text().splitlines()
            line = next(x for x in lines if x.startswith("VmHWM"))
            return int(line.split()[1]) * 1024
        return None
