"""Comparison of an exported file, in its own runtime, with the network in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_cli.engine.budget import needed_margin
from sr_cli.engine.textured import textured_image
from sr_cli.engine.tiling import continued_axis
from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError
from sr_cli.imaging.edges import positions_beyond
from sr_cli.registry.loaded import LoadedModel

Pixels = NDArray[Any]

Runtime = Callable[[Tensor], Tensor]
"""lr (N, C, h, w) in [0, 1] -> sr (N, C, h*scale, w*scale)."""

SIZES = ((2, 13, 7), (1, 1, 5), (1, 129, 67))
"""Batch, height and width of what is compared."""

_SIDE = 64

TOLERANCES = {"fp32": 1e-5, "fp16": 2e-3}


@torch.inference_mode()
def largest_difference(
    model: LoadedModel, runtime: Runtime, sizes: Sequence[tuple[int, int, int]] = SIZES
) -> float:
    """The largest difference from the network as its paper has it, of values in [0, 1].

    Args:
        model: The network in PyTorch. Images are continued as the engine continues its arrays.
        runtime: The exported file.
        sizes: Batch, height and width of what is compared.

    Raises:
        SrError: `export-failed` if the file gives an image of another size.
    """
    side = max(_SIDE, *(batch + max(h, w) for batch, h, w in sizes))
    image = textured_image(side, side, model.network.channels)
    largest = 0.0
    for batch, h, w in sizes:
        lr = torch.cat([image[:, :, n : n + h, n : n + w] for n in range(batch)])
        expected, found = run_continued(model, lr), runtime(lr)
        if found.shape != expected.shape:
            raise _other_shape(found.shape, expected.shape)
        difference = float((found - expected).abs().max())
        largest = max(largest, math.inf if math.isnan(difference) else difference)
    return largest


def run_continued(model: LoadedModel, lr: Tensor) -> Tensor:
    """Run a network on images that are continued beyond their edges as the engine does it."""
    network, traits = model.network, model.traits
    axes = [
        continued_axis(
            side, margin=needed_margin(model), grid=traits.grid, smallest=traits.smallest_side
        )
        for side in lr.shape[2:]
    ]
    for place, axis in enumerate(axes, start=2):
        positions = positions_beyond(axis.first, axis.last, axis.length)
        lr = lr.index_select(place, torch.from_numpy(positions))
    rows, columns = (
        slice(axis.before * network.scale, (axis.before + axis.length) * network.scale)
        for axis in axes
    )
    sr: Tensor = network(lr)
    return sr[..., rows, columns]


def largest_pixel_difference(
    model: LoadedModel,
    runtime: Callable[[Pixels], Pixels],
    sizes: Sequence[tuple[int, int, int]] = SIZES,
) -> int:
    """The largest difference from what the engine computes in one pass, in levels of 255.

    Args:
        model: The network in PyTorch.
        runtime: The exported file: (h, w, 3) uint8 -> (h*scale, w*scale, 3) uint8.
        sizes: Height and width of what is compared, after a batch that is ignored.
    """
    side = max(_SIDE, *(max(h, w) for _, h, w in sizes))
    image = textured_image(side, side, 3)[0].permute(1, 2, 0)
    pixels = (image * 255).round().byte().numpy()
    upscaler = Upscaler(model, device="cpu", precision="fp32", tile=0)
    largest = 0
    for _, h, w in sizes:
        lr = np.ascontiguousarray(pixels[:h, :w])
        expected, found = upscaler(lr).astype(int), runtime(lr)
        if found.shape != expected.shape:
            raise _other_shape(found.shape, expected.shape)
        largest = max(largest, int(abs(expected - found).max()))
    return largest


def _other_shape(found: Sequence[int], expected: Sequence[int]) -> SrError:
    reason = f"its result is {tuple(found)} instead of {tuple(expected)}"
    return SrError("export-failed", reason=reason)
