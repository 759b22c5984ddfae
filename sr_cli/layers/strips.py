"""Layers that enlarge, computed in strips of rows, so that their large tensors are never whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STRIP = 12288
_GPU_STRIP = 64 * STRIP
LEAST_ROWS = 24
"""Lr pixels and rows of a strip."""


def in_strips(
    enlarge: Callable[[int, int], Tensor], lr: Tensor, *, context: int, factor: int
) -> Tensor:
    """Enlarge strip by strip, or at once what is not larger than a strip.

    Args:
        enlarge: Computes the result of the lr rows from the first up to the last.
        lr: (N, C, h, w), for its size and its device.
        context: How far, in lr pixels, the result looks.
        factor: Of which the result is as large.

    Returns:
        (N, outputs, h*factor, w*factor), channels_last.
    """
    n, _, h, w = lr.shape
    if torch.compiler.is_compiling():  # Before any comparison, which would bound h and w.
        return enlarge(0, h)
    # A GPU wants more work at a time, and has no cache to stay in.
    pixels = STRIP if lr.device.type == "cpu" else _GPU_STRIP
    rows = max(LEAST_ROWS, pixels // w)
    if rows >= h:
        return enlarge(0, h)
    sr: Tensor | None = None
    for start in range(0, h, rows):
        stop = min(start + rows, h)
        first, last = max(0, start - context), min(h, stop + context)
        strip = enlarge(first, last)
        if sr is None:
            sr = torch.empty(
                (n, strip.shape[1], h * factor, w * factor),
                dtype=strip.dtype,
                device=strip.device,
                memory_format=torch.channels_last,
            )
        top, bottom = (start - first) * factor, (stop - first) * factor
        sr[:, :, start * factor : stop * factor] = strip[:, :, top:bottom]
    assert sr is not None
    return sr
