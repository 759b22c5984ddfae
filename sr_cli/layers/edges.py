"""Tensors that continue beyond the edges of an image, as the engine continues its arrays."""

from __future__ import annotations

import torch
from torch import Tensor


def mirrored_positions(first: int, last: int, length: int) -> Tensor:
    """`positions_beyond` of the engine's arrays, mirrored, from operations that can be exported.

    Args:
        first: The first position; negative before the image.
        last: The position after the last one; above `length` after the image.
        length: Pixels of the axis; may be symbolic.
    """
    # A tensor: the ONNX exporter of PyTorch 2.14 takes no symbolic number for a remainder.
    period = torch.full((1,), 2 * length, dtype=torch.int64)
    positions = torch.arange(first, last) % period
    return torch.where(positions < length, positions, period - 1 - positions)


def mirror_beyond(image: Tensor, *, before: int = 0, below: int = 0, right: int = 0) -> Tensor:
    """Continue an image beyond its edges by mirroring, with the edge pixel twice.

    Args:
        image: (N, C, h, w).
        before: Rows above and columns to the left.
        below: Rows below.
        right: Columns to the right.

    Returns:
        (N, C, before + h + below, before + w + right).
    """
    for axis, after in ((2, below), (3, right)):
        if before or after:
            length = image.shape[axis]
            positions = mirrored_positions(-before, length + after, length)
            image = image.index_select(axis, positions.to(image.device))
    return image
