"""Tensors that continue beyond the edges of an image, as the engine continues its arrays."""

from __future__ import annotations

import torch
from torch import Tensor

from sr_cli.imaging.edges import positions_beyond


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
            positions = torch.from_numpy(positions_beyond(-before, length + after, length))
            image = image.index_select(axis, positions.to(image.device))
    return image
